// SPDX-License-Identifier: GPL-3.0-or-later
// The number formats of weights and caches: BF16, FP8 E4M3, FP4 E2M1 and their power-of-two scales.
//
// Source: OCP 8-bit floating point and microscaling formats; DeepSeek-V4 kernel.py act_quant.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

namespace tandem::kernels {

/// bfloat16 is the upper half of a float.
[[nodiscard]] inline float bf16ToFloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Nearest, ties to even. NaN stays NaN.
[[nodiscard]] inline std::uint16_t floatToBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  }
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

[[nodiscard]] inline float roundToBf16(float value) {
  return bf16ToFloat(floatToBf16(value));
}

/// E8M0: 2^(code - 127); 255 is NaN, 0 is 2^-127.
[[nodiscard]] inline float e8m0ToFloat(std::uint8_t code) {
  if (code == 0xFF) {
    return std::bit_cast<float>(0x7FC00000U);
  }
  // 2^-127 is subnormal in float.
  return code == 0 ? std::bit_cast<float>(0x00400000U)
                   : std::bit_cast<float>(static_cast<std::uint32_t>(code) << 23);
}

inline constexpr float kE4m3Largest = 448.F;
inline constexpr float kE2m1Largest = 6.F;

/// What the largest magnitude of a group counts as at least, so that its scale exists.
inline constexpr float kE4m3AmaxFloor = 1e-4F;
inline constexpr float kE2m1AmaxFloor = 0x1.8p-124F;  // 6 * 2^-126

/// Values of the 256 E4M3 (fn) codes: bias 7, largest 448, no infinities, 0x7F and 0xFF are NaN.
[[nodiscard]] const std::array<float, 256>& e4m3Values();

/// Values of the 16 E2M1 codes: 0 .5 1 1.5 2 3 4 6 and their negatives.
inline constexpr std::array<float, 16> kE2m1Values{0.F,
                                                   .5F,
                                                   1.F,
                                                   1.5F,
                                                   2.F,
                                                   3.F,
                                                   4.F,
                                                   6.F,
                                                   -0.F,
                                                   -.5F,
                                                   -1.F,
                                                   -1.5F,
                                                   -2.F,
                                                   -3.F,
                                                   -4.F,
                                                   -6.F};

/// Nearest E4M3 value, ties to the even code, saturating at +-448.
[[nodiscard]] float roundToE4m3(float value);

/// Nearest E2M1 value, ties to the even code, saturating at +-6.
[[nodiscard]] float roundToE2m1(float value);

/// The smallest power of two s with amax / s <= largest. Needs amax > 0.
[[nodiscard]] float powerOfTwoScale(float amax, float largest);

/// Rounds each group of `group` consecutive values to E4M3 times a power of two (amax floor
/// kE4m3AmaxFloor),
/// in place. Needs values.size() % group == 0.
void roundGroupsToE4m3(std::span<float> values, int group);

/// The same to E2M1 (amax floor kE2m1AmaxFloor).
void roundGroupsToE2m1(std::span<float> values, int group);

/// Walsh-Hadamard transform in natural order times n^-0.5, in place. Needs a power of two.
void hadamard(std::span<float> values);

}  // namespace tandem::kernels
