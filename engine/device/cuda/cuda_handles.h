// SPDX-License-Identifier: GPL-3.0-or-later
// Owners of CUDA streams and device memory.
#pragma once

#include <cstddef>
#include <memory>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/device/cuda/cuda_check.h"

namespace tandem::device {

struct StreamDestroy {
  // A failure here means the context is lost, which the next call reports.
  void operator()(cudaStream_t stream) const { static_cast<void>(cudaStreamDestroy(stream)); }
};
using UniqueStream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, StreamDestroy>;

/// A stream that does not wait for the legacy default stream.
inline Result<UniqueStream> makeStream() {
  cudaStream_t stream = nullptr;
  TANDEM_CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return UniqueStream(stream);
}

struct DeviceFree {
  void operator()(void* memory) const { static_cast<void>(cudaFree(memory)); }
};
template <typename T>
using UniqueDevice = std::unique_ptr<T[], DeviceFree>;

/// `count` uninitialised elements in device memory.
template <typename T>
Result<UniqueDevice<T>> allocateDevice(std::size_t count) {
  void* memory = nullptr;
  TANDEM_CHECK_CUDA(cudaMalloc(&memory, count * sizeof(T)));
  return UniqueDevice<T>(static_cast<T*>(memory));
}

}  // namespace tandem::device
