// SPDX-License-Identifier: GPL-3.0-or-later
// The element types of a checkpoint, and how safetensors spells them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tandem::model {

enum class DType { F32, Bf16, F8E4M3, F8E8M0, I8, U8, I32, I64 };

/// Bytes of one element.
[[nodiscard]] std::int64_t dtypeBytes(DType dtype);

/// "F32" "BF16" "F8_E4M3" "F8_E8M0" "I8" "U8" "I32" "I64"
[[nodiscard]] std::string_view dtypeName(DType dtype);

/// Reads a safetensors spelling, also those of re-uploads ("F8_E4M3FN", "F4" for packed bytes).
[[nodiscard]] std::optional<DType> dtypeFromName(std::string_view name);

}  // namespace tandem::model
