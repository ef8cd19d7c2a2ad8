// SPDX-License-Identifier: GPL-3.0-or-later
// NVIDIA's management library, opened at run time: what the driver says of each GPU.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace tandem::probe {

struct NvmlGpu {
  std::optional<std::string> pciAddress;  // in sysfs's spelling
  std::optional<std::string> name;
  std::optional<std::uint64_t> memoryBytes;
  std::string memoryUnknownBecause;  // "" where memoryBytes is known
};

struct NvmlFacts {
  std::string driverVersion;  // "580.142"
  std::vector<NvmlGpu> gpus;
};

/// Opens libnvidia-ml.so.1 from `folder`, or where the loader looks when it is empty.
///
/// Fails    NotFound in the loader's words: no library, or one without a function this needs;
///          Unavailable in the library's words: "Driver Not Loaded"
/// Source   nvml.h of the CUDA toolkit: names, types and numbers below are its ABI
Result<NvmlFacts> readNvml(const std::filesystem::path& folder);

}  // namespace tandem::probe
