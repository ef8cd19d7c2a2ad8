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

}  // namespace

TANDEM_WIDE float dotProduct(const float* a, const float* b, std::int64_t count) {
  std::array<float, kLanes> sums{};
  const std::int64_t whole = count - count % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      sums[static_cast<std::size_t>(lane)] += a[i + lane] * b[i + lane];
    }
  }
  for (std::int64_t i = whole; i < count; ++i) {
    sums[static_cast<std::size_t>(i - whole)] += a[i] * b[i];
  }
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) {
      sums[static_cast<std::size_t>(lane)] += sums[static_cast<std::size_t>(lane + half)];
    }
  }
  return sums[0];
}

TANDEM_WIDE void addScaled(float* out, const float* x, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] += factor * x[i];
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
