// SPDX-License-Identifier: GPL-3.0-or-later
// How many blocks of a streaming kernel a device runs at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/device/cuda/cuda_check.h"

namespace tandem::kernels::cuda {

/// What launches need to know of the device, asked once.
struct DeviceLimits {
  int multiprocessors = 0;
};

/// Of the current device. Fails    Internal in CUDA's words.
[[nodiscard]] Result<DeviceLimits> currentDeviceLimits();

/// Lets `kernel` have `sharedBytes` and gives the blocks that run at once, at most `work`.
template <typename Kernel>
[[nodiscard]] Result<unsigned> residentBlocks(Kernel kernel,
                                              int threads,
                                              int sharedBytes,
                                              std::int64_t work,
                                              const DeviceLimits& limits) {
  TANDEM_CHECK_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sharedBytes));
  int perMultiprocessor = 0;
  TANDEM_CHECK_CUDA(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&perMultiprocessor,
                                                    kernel,
                                                    threads,
                                                    static_cast<std::size_t>(sharedBytes)));
  const std::int64_t resident =
      std::int64_t{limits.multiprocessors} * std::max(perMultiprocessor, 1);
  return static_cast<unsigned>(std::max<std::int64_t>(1, std::min(resident, work)));
}

}  // namespace tandem::kernels::cuda
