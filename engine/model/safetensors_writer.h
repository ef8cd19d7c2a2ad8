// SPDX-License-Identifier: GPL-3.0-or-later
// Writes float tensors as one safetensors file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace tandem::model {

struct FloatTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// Writes a temporary file beside `path` and renames it, so that a failure leaves nothing behind.
/// Fails    Unavailable with the system's words, e.g. a full disk.
[[nodiscard]] Result<void> writeSafetensors(const std::filesystem::path& path,
                                            const std::vector<FloatTensor>& tensors);

}  // namespace tandem::model
