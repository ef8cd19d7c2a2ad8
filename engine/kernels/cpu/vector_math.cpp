// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cpu/vector_math.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "engine/kernels/number_formats.h"

// The one place that knows x86: these loops are compiled twice, and the wider version is taken
// where the processor has it. Sanitizers run before the choice can be made, so they get the plain
// one.
#if defined(__has_feature)
  #if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    #define TANDEM_SANITIZED
  #endif
#endif
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(TANDEM_SANITIZED)
  #define TANDEM_WIDE __attribute__((target_clones("arch=haswell", "default")))
#else
  #define TANDEM_WIDE
#endif

namespace tandem::kernels {

namespace {

constexpr int kLanes = 16;

// E4M3 bits moved into a float's exponent and mantissa are the value times 2^-120.
constexpr float kE4m3Bias = 0x1p120F;

constexpr std::array<std::array<float, 2>, 256> makeE2m1Pairs() {
  std::array<std::array<float, 2>, 256> pairs{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    pairs[byte] = {kE2m1Values[byte & 15U], kE2m1Values[byte >> 4U]};
  }
  return pairs;
}
constexpr std::array<std::array<float, 2>, 256> kE2m1Pairs = makeE2m1Pairs();

TANDEM_WIDE void unpackFp8(const std::uint8_t* codes, float scale, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t code = codes[i];
    const std::uint32_t bits = ((code & 0x80U) << 24) | ((code & 0x7FU) << 20);
    out[i] = std::bit_cast<float>(bits) * kE4m3Bias * scale;
  }
}

TANDEM_WIDE void unpackBf16(const std::uint8_t* codes, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, codes + 2 * i, sizeof bits);
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
}

void unpackMxfp4(const std::uint8_t* bytes, float scale, float* out) {
  for (int i = 0; i < WeightMatrix::kMxfp4Group / 2; ++i) {
    out[2 * i] = kE2m1Pairs[bytes[i]][0] * scale;
    out[2 * i + 1] = kE2m1Pairs[bytes[i]][1] * scale;
  }
}

/// Half of the lanes: what a register holds where the processor has wide ones.
constexpr int kHalf = kLanes / 2;
using Half = float __attribute__((vector_size(kHalf * sizeof(float))));

struct Sums {
  Half low{};
  Half high{};
};

// By reference: as a value, a vector wider than a register has no agreed way between functions.
inline void load(Half& lanes, const float* values) {
  std::memcpy(&lanes, values, sizeof lanes);
}

inline void addProducts(Sums& sums, const Half& low, const Half& high, const float* b) {
  Half other;
  load(other, b);
  sums.low += low * other;
  load(other, b + kHalf);
  sums.high += high * other;
}

using Quarter = float __attribute__((vector_size(kHalf / 2 * sizeof(float))));

/// What is behind the last whole vector of a row: one value a lane.
inline void addRest(Sums& sums, const float* a, const float* b, std::int64_t rest) {
  for (std::int64_t i = 0; i < rest; ++i) {
    if (i < kHalf) {
      sums.low[i] += a[i] * b[i];
    } else {
      sums.high[i - kHalf] += a[i] * b[i];
    }
  }
}

/// Lanes added pairwise until four are left: lane i and i + 8, then i and i + 4.
inline void fold(Quarter& quarter, const Sums& sums) {
  const Half half = sums.low + sums.high;
  std::array<Quarter, 2> quarters{};
  std::memcpy(quarters.data(), &half, sizeof half);
  quarter = quarters[0] + quarters[1];
}

}  // namespace

TANDEM_WIDE float dotProduct(const float* a, const float* b, std::int64_t count) {
  Sums sums;
  const std::int64_t whole = count - count % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Half low;
    Half high;
    load(low, a + i);
    load(high, a + i + kHalf);
    addProducts(sums, low, high, b + i);
  }
  addRest(sums, a + whole, b + whole, count - whole);
  Quarter quarter;
  fold(quarter, sums);
  return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

// Four sums at a time: one alone waits for each addition before it can begin the next.
TANDEM_WIDE void dotProducts4(float* out, const float* a, const FourRows& b, std::int64_t count) {
  Sums sums0;
  Sums sums1;
  Sums sums2;
  Sums sums3;
  const std::int64_t whole = count - count % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Half low;
    Half high;
    load(low, a + i);
    load(high, a + i + kHalf);
    addProducts(sums0, low, high, b[0] + i);
    addProducts(sums1, low, high, b[1] + i);
    addProducts(sums2, low, high, b[2] + i);
    addProducts(sums3, low, high, b[3] + i);
  }
  const std::int64_t rest = count - whole;
  addRest(sums0, a + whole, b[0] + whole, rest);
  addRest(sums1, a + whole, b[1] + whole, rest);
  addRest(sums2, a + whole, b[2] + whole, rest);
  addRest(sums3, a + whole, b[3] + whole, rest);
  Quarter q0;
  Quarter q1;
  Quarter q2;
  Quarter q3;
  fold(q0, sums0);
  fold(q1, sums1);
  fold(q2, sums2);
  fold(q3, sums3);
  // Turned round: the first lanes of all four, the second ones, and so on.
  const Quarter low01 = __builtin_shufflevector(q0, q1, 0, 4, 1, 5);
  const Quarter low23 = __builtin_shufflevector(q2, q3, 0, 4, 1, 5);
  const Quarter high01 = __builtin_shufflevector(q0, q1, 2, 6, 3, 7);
  const Quarter high23 = __builtin_shufflevector(q2, q3, 2, 6, 3, 7);
  const Quarter even = __builtin_shufflevector(low01, low23, 0, 1, 4, 5) +
                       __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  const Quarter odd = __builtin_shufflevector(low01, low23, 2, 3, 6, 7) +
                      __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
  const Quarter all = even + odd;
  std::memcpy(out, &all, sizeof all);
}

TANDEM_WIDE void addScaled(float* out, const float* x, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] += factor * x[i];
  }
}

TANDEM_WIDE void addScaled4(float* out,
                            const FourRows& x,
                            const float* factors,
                            std::int64_t count) {
  const float* const x0 = x[0];
  const float* const x1 = x[1];
  const float* const x2 = x[2];
  const float* const x3 = x[3];
  const float f0 = factors[0];
  const float f1 = factors[1];
  const float f2 = factors[2];
  const float f3 = factors[3];
  for (std::int64_t i = 0; i < count; ++i) {
    float sum = out[i];
    sum += f0 * x0[i];
    sum += f1 * x1[i];
    sum += f2 * x2[i];
    sum += f3 * x3[i];
    out[i] = sum;
  }
}

void unpackRow(const WeightMatrix& weight, std::int64_t row, float* out) {
  switch (weight.format) {
    case WeightFormat::F32:
      std::memcpy(out,
                  weight.codes + row * weight.rowBytes(),
                  static_cast<std::size_t>(weight.cols) * sizeof(float));
      return;
    case WeightFormat::Bf16:
      unpackBf16(weight.codes + row * weight.rowBytes(), out, weight.cols);
      return;
    case WeightFormat::Fp8Block: {
      const std::uint8_t* codes = weight.codes + row * weight.cols;
      const std::uint8_t* scales =
          weight.scales + (weight.blockRow + row) / WeightMatrix::kFp8Block * weight.scaleStride;
      std::int64_t end = WeightMatrix::kFp8Block - weight.blockColumn;
      for (std::int64_t begin = 0; begin < weight.cols;
           begin = end, end += WeightMatrix::kFp8Block, ++scales) {
        unpackFp8(codes + begin,
                  e8m0ToFloat(*scales),
                  out + begin,
                  std::min(end, weight.cols) - begin);
      }
      return;
    }
    case WeightFormat::Mxfp4: {
      const std::uint8_t* codes = weight.codes + row * weight.cols / 2;
      const std::uint8_t* scales = weight.scales + row * weight.scaleStride;
      for (std::int64_t c = 0; c < weight.cols; c += WeightMatrix::kMxfp4Group, ++scales) {
        unpackMxfp4(codes + c / 2, e8m0ToFloat(*scales), out + c);
      }
      return;
    }
  }
}

}  // namespace tandem::kernels
