// SPDX-License-Identifier: GPL-3.0-or-later
// The CUDA driver library, opened at run time and asked without making a context.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/node_report.h"
#include "engine/base/result.h"

namespace tandem::probe {

struct CudaGpu {
  std::optional<std::string> pciAddress;  // in sysfs's spelling
  std::optional<api::ComputeCapability> computeCapability;
};

struct CudaFacts {
  std::string cudaVersion;  // the newest that the driver knows: "13.0"
  std::vector<CudaGpu> gpus;
};

/// Opens libcuda.so.1 from `folder`, or where the loader looks when it is empty.
///
/// Fails    NotFound in the loader's words: no library, or one without a function this needs;
///          Unavailable with the driver's number: 100 is "no device"
/// Source   cuda.h of the CUDA toolkit: names and numbers are its ABI
Result<CudaFacts> readCudaDriver(const std::filesystem::path& folder);

}  // namespace tandem::probe
