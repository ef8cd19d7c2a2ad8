// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/cuda/cuda_check.h"

#include <fmt/core.h>

#include <filesystem>

namespace tandem::device {

Error cudaError(cudaError_t code, const char* call, const char* file, int line) {
  return Error{code == cudaErrorMemoryAllocation ? ErrorCode::OutOfMemory : ErrorCode::Internal,
               fmt::format("{} ({}) from {} at {}:{}",
                           cudaGetErrorString(code),
                           cudaGetErrorName(code),
                           call,
                           std::filesystem::path(file).filename().string(),
                           line),
               ""};
}

}  // namespace tandem::device
