// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/number_formats.h"

#include <algorithm>
#include <cassert>

namespace tandem::kernels {

namespace {

constexpr int kE4m3MantissaBits = 3;
constexpr int kE4m3SmallestExponent = -6;  // of normal numbers; below it the step stays 2^-9
constexpr int kE2m1MantissaBits = 1;
constexpr int kE2m1SmallestExponent = 0;

std::array<float, 256> makeE4m3Values() {
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = (code >> 3) & 15;
    const int mantissa = code & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    if (exponent == 15 && mantissa == 7) {
      value = std::bit_cast<float>(0x7FC00000U);
    }
    values[static_cast<std::size_t>(code)] = (code & 128) != 0 ? -value : value;
  }
  return values;
}

/// Rounds to a grid whose step is 2^(exponent - mantissaBits), at least that of `smallestExponent`.
/// rint ties to even, which is the even code because the grid's codes count its steps.
float roundToGrid(float value, int mantissaBits, int smallestExponent, float largest) {
  const float clamped = std::clamp(value, -largest, largest);
  int exponent = 0;
  std::frexp(clamped, &exponent);  // |clamped| in [2^(exponent-1), 2^exponent)
  const int step = std::max(exponent - 1, smallestExponent) - mantissaBits;
  return std::ldexp(std::rint(std::ldexp(clamped, -step)), step);
}

template <typename Round>
void roundGroups(std::span<float> values, int group, float floor, float largest, Round round) {
  assert(values.size() % static_cast<std::size_t>(group) == 0);
  for (std::size_t begin = 0; begin < values.size(); begin += static_cast<std::size_t>(group)) {
    const std::span<float> part = values.subspan(begin, static_cast<std::size_t>(group));
    float amax = floor;
    for (const float value : part) {
      amax = std::max(amax, std::fabs(value));
    }
    const float scale = powerOfTwoScale(amax, largest);
    const float inverse = 1.F / scale;  // exact: a power of two
    for (float& value : part) {
      value = round(value * inverse) * scale;
    }
  }
}

}  // namespace

const std::array<float, 256>& e4m3Values() {
  static const std::array<float, 256> kValues = makeE4m3Values();
  return kValues;
}

float roundToE4m3(float value) {
  return roundToGrid(value, kE4m3MantissaBits, kE4m3SmallestExponent, kE4m3Largest);
}

float roundToE2m1(float value) {
  return roundToGrid(value, kE2m1MantissaBits, kE2m1SmallestExponent, kE2m1Largest);
}

float powerOfTwoScale(float amax, float largest) {
  int exponent = 0;
  const float mantissa = std::frexp(amax / largest, &exponent);  // in [0.5, 1)
  return std::ldexp(1.F, mantissa == 0.5F ? exponent - 1 : exponent);
}

void roundGroupsToE4m3(std::span<float> values, int group) {
  roundGroups(values, group, kE4m3AmaxFloor, kE4m3Largest, roundToE4m3);
}

void roundGroupsToE2m1(std::span<float> values, int group) {
  roundGroups(values, group, kE2m1AmaxFloor, kE2m1Largest, roundToE2m1);
}

void hadamard(std::span<float> values) {
  const std::size_t n = values.size();
  assert(std::has_single_bit(n));
  for (std::size_t half = 1; half < n; half *= 2) {
    for (std::size_t begin = 0; begin < n; begin += 2 * half) {
      for (std::size_t i = begin; i < begin + half; ++i) {
        const float a = values[i];
        const float b = values[i + half];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
  const float scale = 1.F / std::sqrt(static_cast<float>(n));
  for (float& value : values) {
    value *= scale;
  }
}

}  // namespace tandem::kernels
