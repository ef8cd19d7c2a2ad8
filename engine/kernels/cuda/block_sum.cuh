// SPDX-License-Identifier: GPL-3.0-or-later
// A sum over the threads of a block, in an order that never changes.
#pragma once

namespace tandem::kernels::cuda {

/// Σ of `value` over all `Threads` threads, the same bits in each of them: within a warp by halves,
/// then over the warps in order. All threads of the block call it.
///
/// Needs    Threads a multiple of 32, at most 1024; blockDim.x == Threads.
template <int Threads>
__device__ float blockSum(float value) {
  constexpr int kWarp = 32;
  constexpr unsigned kWholeWarp = 0xFFFFFFFFU;
  static_assert(Threads % kWarp == 0 && Threads <= kWarp * kWarp);
  __shared__ float warps[Threads / kWarp];
  for (int half = kWarp / 2; half > 0; half /= 2) {
    value += __shfl_xor_sync(kWholeWarp, value, half);
  }
  // Nobody may still read the sums of the call before.
  __syncthreads();
  if (threadIdx.x % kWarp == 0) {
    warps[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  float sum = 0.F;
  for (int warp = 0; warp < Threads / kWarp; ++warp) {
    sum += warps[warp];
  }
  return sum;
}

}  // namespace tandem::kernels::cuda
