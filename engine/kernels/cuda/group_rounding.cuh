// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding to E4M3 and E2M1 times a power of two on the device: the bits of number_formats.h.
#pragma once

#include <cstdint>

#include <cuda_fp8.h>

#include "engine/kernels/number_formats.h"

namespace tandem::kernels::cuda {

/// The smallest power of two s with amax / s <= largest. Needs amax / largest normal.
__device__ inline float devicePowerOfTwoScale(float amax, float largest) {
  constexpr std::uint32_t kMantissa = 0x007FFFFFU;
  const std::uint32_t bits = __float_as_uint(__fdiv_rn(amax, largest));
  return __uint_as_float((bits + kMantissa) & ~kMantissa);
}

/// 1 / scale of a normal power of two, exact where it is normal too.
__device__ inline float reciprocalOfPower(float scale) {
  return __fdiv_rn(1.F, scale);
}

/// The code of the nearest E4M3 value, ties to even, saturating.
__device__ inline std::uint8_t e4m3CodeOf(float value) {
  return static_cast<std::uint8_t>(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3));
}

/// E4M3 and float differ in the width of their fields: shifted into place, a value is off by
/// 2^(127 - 7).
__device__ inline float e4m3ValueOf(std::uint8_t code) {
  constexpr float kRebias = 0x1p120F;
  const std::uint32_t bits = (code & 0x80U) << 24 | (code & 0x7FU) << 20;
  return __uint_as_float(bits) * kRebias;
}

__device__ inline float roundedToE4m3(float value) {
  return e4m3ValueOf(e4m3CodeOf(value));
}

/// The largest of `value` over the lanes of aligned groups of `Lanes`, in each of them.
template <int Lanes>
__device__ inline float largestOfLanes(float value) {
  constexpr unsigned kWholeWarp = 0xFFFFFFFFU;
#pragma unroll
  for (int distance = Lanes / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, distance));
  }
  return value;
}

}  // namespace tandem::kernels::cuda
