// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of numbers in device memory, and copies between them and the host's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/device/cuda/cuda_check.h"
#include "engine/device/cuda/cuda_handles.h"
#include "engine/kernels/matrix.h"

namespace tandem::cuda {

/// Owns rows x cols elements without gaps. No elements: no memory.
template <typename T>
class DeviceMatrix {
 public:
  /// Uninitialised. Fails    OutOfMemory.
  static Result<DeviceMatrix> make(std::int64_t rows, std::int64_t cols) {
    const auto count = static_cast<std::size_t>(rows * cols);
    if (count == 0) {
      return DeviceMatrix(nullptr, rows, cols);
    }
    Result<device::UniqueDevice<T>> memory = device::allocateDevice<T>(count);
    if (!memory) {
      return memory.error();
    }
    return DeviceMatrix(std::move(*memory), rows, cols);
  }

  /// The device's addresses: only kernels may follow them.
  [[nodiscard]] kernels::Matrix<T> view() const { return {memory_.get(), rows_, cols_}; }

 private:
  DeviceMatrix(device::UniqueDevice<T> memory, std::int64_t rows, std::int64_t cols)
      : memory_(std::move(memory)),
        rows_(rows),
        cols_(cols) {}

  device::UniqueDevice<T> memory_;
  std::int64_t rows_;
  std::int64_t cols_;
};

/// A copy of `rows` on the device, queued on `stream`: `rows` must live until it is done.
/// Fails    OutOfMemory; Internal in CUDA's words.
template <typename T>
[[nodiscard]] Result<DeviceMatrix<T>> upload(kernels::Matrix<const T> rows, cudaStream_t stream) {
  Result<DeviceMatrix<T>> made = DeviceMatrix<T>::make(rows.rows, rows.cols);
  if (!made || rows.rows * rows.cols == 0) {
    return made;
  }
  const kernels::Matrix<T> to = made->view();
  const auto width = static_cast<std::size_t>(rows.cols) * sizeof(T);
  TANDEM_CHECK_CUDA(cudaMemcpy2DAsync(to.data,
                                      width,
                                      rows.data,
                                      static_cast<std::size_t>(rows.stride) * sizeof(T),
                                      width,
                                      static_cast<std::size_t>(rows.rows),
                                      cudaMemcpyHostToDevice,
                                      stream));
  return made;
}

/// Waits for everything queued on `stream` and copies to the host's rows, which have the same
/// shape. Fails    Internal in CUDA's words: also what went wrong in a kernel before.
template <typename T>
[[nodiscard]] Result<void> download(kernels::Matrix<T> rows,
                                    const DeviceMatrix<T>& from,
                                    cudaStream_t stream) {
  const auto width = static_cast<std::size_t>(rows.cols) * sizeof(T);
  if (rows.rows * rows.cols > 0) {
    TANDEM_CHECK_CUDA(cudaMemcpy2DAsync(rows.data,
                                        static_cast<std::size_t>(rows.stride) * sizeof(T),
                                        from.view().data,
                                        width,
                                        width,
                                        static_cast<std::size_t>(rows.rows),
                                        cudaMemcpyDeviceToHost,
                                        stream));
  }
  TANDEM_CHECK_CUDA(cudaStreamSynchronize(stream));
  return {};
}

}  // namespace tandem::cuda
