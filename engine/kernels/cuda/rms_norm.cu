// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/rms_norm.h"

#include <algorithm>
#include <cstdint>

#include "engine/device/cuda/cuda_check.h"
#include "engine/kernels/cuda/block_sum.cuh"

namespace tandem::kernels::cuda {

namespace {

constexpr int kThreads = 256;

// What every device's grid may be at least; more rows take turns.
constexpr std::int64_t kMostBlocks = 65535;

/// A block takes one row at a time.
__global__ void __launch_bounds__(kThreads) rmsNormKernel(float* out,
                                                          std::int64_t outStride,
                                                          const float* x,
                                                          std::int64_t xStride,
                                                          std::int64_t rows,
                                                          std::int64_t cols,
                                                          const float* __restrict__ weight,
                                                          float eps) {
  for (std::int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    const float* row = x + r * xStride;
    float squares = 0.F;
    for (std::int64_t c = threadIdx.x; c < cols; c += kThreads) {
      squares = fmaf(row[c], row[c], squares);
    }
    const float mean = blockSum<kThreads>(squares) / static_cast<float>(cols);
    const float inverse = 1.F / sqrtf(mean + eps);
    // In place this overwrites what was read: a thread writes only what it alone reads.
    for (std::int64_t c = threadIdx.x; c < cols; c += kThreads) {
      out[r * outStride + c] = row[c] * inverse * (weight == nullptr ? 1.F : weight[c]);
    }
  }
}

}  // namespace

Result<void> rmsNorm(Matrix<float> out,
                     Matrix<const float> x,
                     const float* weight,
                     float eps,
                     cudaStream_t stream) {
  if (x.rows == 0) {
    return {};
  }
  const auto blocks = static_cast<unsigned>(std::min(x.rows, kMostBlocks));
  rmsNormKernel<<<blocks, kThreads, 0, stream>>>(out.data,
                                                 out.stride,
                                                 x.data,
                                                 x.stride,
                                                 x.rows,
                                                 x.cols,
                                                 weight,
                                                 eps);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

}  // namespace tandem::kernels::cuda
