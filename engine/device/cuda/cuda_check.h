// SPDX-License-Identifier: GPL-3.0-or-later
// CUDA's return codes as Errors that name the call and its place.
#pragma once

#include <string>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"

namespace tandem::device {

/// OutOfMemory for cudaErrorMemoryAllocation, Internal for the rest.
[[nodiscard]] Error cudaError(cudaError_t code, const char* call, const char* file, int line);

}  // namespace tandem::device

/// Leaves the function with the Error when the call fails. For functions that return Result.
#define TANDEM_CHECK_CUDA(call)                                                      \
  do {                                                                               \
    const cudaError_t tandemCudaCode = (call);                                       \
    if (tandemCudaCode != cudaSuccess) {                                             \
      return ::tandem::device::cudaError(tandemCudaCode, #call, __FILE__, __LINE__); \
    }                                                                                \
  } while (false)
