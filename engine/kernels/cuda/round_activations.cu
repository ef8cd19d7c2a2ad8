// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/round_activations.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "engine/device/cuda/cuda_check.h"
#include "engine/kernels/cuda/group_rounding.cuh"
#include "engine/kernels/weight_matrix.h"

namespace tandem::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 32;
constexpr int kValues = WeightMatrix::kFp8Block / kLanes;
constexpr std::int64_t kMostBlocks = 65535;

/// A warp takes one group at a time.
__global__ void __launch_bounds__(kThreads) roundActivationsKernel(float* out,
                                                                   std::int64_t outStride,
                                                                   const float* x,
                                                                   std::int64_t xStride,
                                                                   std::int64_t groups,
                                                                   std::int64_t groupsPerRow) {
  const std::int64_t warps = std::int64_t{gridDim.x} * (kThreads / kLanes);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (std::int64_t group =
           std::int64_t{blockIdx.x} * (kThreads / kLanes) + static_cast<int>(threadIdx.x) / kLanes;
       group < groups;
       group += warps) {
    const std::int64_t row = group / groupsPerRow;
    const std::int64_t column = group % groupsPerRow * WeightMatrix::kFp8Block + lane;
    float values[kValues];
    float amax = kE4m3AmaxFloor;
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      values[i] = x[row * xStride + column + i * kLanes];
      amax = fmaxf(amax, fabsf(values[i]));
    }
    const float scale = devicePowerOfTwoScale(largestOfLanes<kLanes>(amax), kE4m3Largest);
    const float inverse = reciprocalOfPower(scale);
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      out[row * outStride + column + i * kLanes] = roundedToE4m3(values[i] * inverse) * scale;
    }
  }
}

}  // namespace

Result<void> roundActivations(Matrix<float> out, Matrix<const float> x, cudaStream_t stream) {
  if (x.cols % WeightMatrix::kFp8Block != 0) {
    return Error{ErrorCode::InvalidArgument,
                 std::to_string(x.cols) + " channels do not divide into groups of 128",
                 ""};
  }
  const std::int64_t groupsPerRow = x.cols / WeightMatrix::kFp8Block;
  const std::int64_t groups = x.rows * groupsPerRow;
  if (groups == 0) {
    return {};
  }
  constexpr std::int64_t kWarps = kThreads / kLanes;
  const auto blocks = static_cast<unsigned>(std::min((groups + kWarps - 1) / kWarps, kMostBlocks));
  roundActivationsKernel<<<blocks, kThreads, 0, stream>>>(out.data,
                                                          out.stride,
                                                          x.data,
                                                          x.stride,
                                                          groups,
                                                          groupsPerRow);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

}  // namespace tandem::kernels::cuda
