// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/entry_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "engine/kernels/number_formats.h"

namespace tandem::kernels {

namespace {

/// The code of a power of two.
std::byte e8m0Code(float scale) {
  return static_cast<std::byte>(std::bit_cast<std::uint32_t>(scale) >> 23U);
}

float scaleOf(std::byte code) {
  return e8m0ToFloat(std::to_integer<std::uint8_t>(code));
}

float largestMagnitude(std::span<const float> values, float floor) {
  float largest = floor;
  for (const float value : values) {
    largest = std::max(largest, std::fabs(value));
  }
  return largest;
}

/// E4M3 and float differ in the width of their fields only: a magnitude divided by the difference
/// of the exponents' biases, 2^(127 - 7), has its code in the upper bits. Subnormal ones too.
std::byte e4m3Code(float value) {
  constexpr float kRebias = 0x1p-120F;
  constexpr unsigned kDroppedBits = 20;
  const float rounded = roundToE4m3(value);
  const auto bits = std::bit_cast<std::uint32_t>(std::fabs(rounded) * kRebias);
  const std::uint32_t sign = std::signbit(rounded) ? 0x80U : 0U;
  return static_cast<std::byte>(sign | bits >> kDroppedBits);
}

std::uint8_t e2m1Code(float value) {
  const float magnitude = std::fabs(roundToE2m1(value));
  std::uint8_t code = 0;
  while (kE2m1Values[code] != magnitude) {
    ++code;
  }
  return static_cast<std::uint8_t>(code | (std::signbit(value) ? 8U : 0U));
}

void packKeyValue(const EntryLayout& layout, std::byte* out, const float* values) {
  std::byte* scales = out + layout.scaleOffset();
  for (int group = 0; group < layout.scales(); ++group) {
    const std::span part(values + group * EntryLayout::kFp8Group, EntryLayout::kFp8Group);
    const float scale = powerOfTwoScale(largestMagnitude(part, kE4m3AmaxFloor), kE4m3Largest);
    scales[group] = e8m0Code(scale);
    for (int i = 0; i < EntryLayout::kFp8Group; ++i) {
      out[group * EntryLayout::kFp8Group + i] =
          e4m3Code(part[static_cast<std::size_t>(i)] * (1.F / scale));
    }
  }
  for (int i = 0; i < layout.ropeDim; ++i) {
    const std::uint16_t bits = floatToBf16(values[layout.nopeDim() + i]);
    std::memcpy(out + layout.ropeOffset() + 2 * i, &bits, sizeof(bits));
  }
  std::fill(scales + layout.scales(), out + layout.bytes(), std::byte{0});
}

void unpackKeyValue(const EntryLayout& layout, float* out, const std::byte* packed) {
  const std::array<float, 256>& e4m3 = e4m3Values();
  for (int group = 0; group < layout.scales(); ++group) {
    const float scale = scaleOf(packed[layout.scaleOffset() + group]);
    const std::byte* codes = packed + group * EntryLayout::kFp8Group;
    float* values = out + group * EntryLayout::kFp8Group;
    for (int i = 0; i < EntryLayout::kFp8Group; ++i) {
      values[i] = e4m3[std::to_integer<std::size_t>(codes[i])] * scale;
    }
  }
  for (int i = 0; i < layout.ropeDim; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, packed + layout.ropeOffset() + 2 * i, sizeof(bits));
    out[layout.nopeDim() + i] = bf16ToFloat(bits);
  }
}

void packIndexerKey(const EntryLayout& layout, std::byte* out, const float* values) {
  for (int group = 0; group < layout.scales(); ++group) {
    const std::span part(values + group * EntryLayout::kFp4Group, EntryLayout::kFp4Group);
    const float scale = powerOfTwoScale(largestMagnitude(part, kE2m1AmaxFloor), kE2m1Largest);
    out[layout.scaleOffset() + group] = e8m0Code(scale);
    for (std::size_t i = 0; i < part.size(); i += 2) {
      const unsigned low = e2m1Code(part[i] * (1.F / scale));
      const unsigned high = e2m1Code(part[i + 1] * (1.F / scale));
      out[static_cast<std::size_t>(group) * part.size() / 2 + i / 2] =
          static_cast<std::byte>(low | high << 4U);
    }
  }
}

void unpackIndexerKey(const EntryLayout& layout, float* out, const std::byte* packed) {
  for (int group = 0; group < layout.scales(); ++group) {
    const float scale = scaleOf(packed[layout.scaleOffset() + group]);
    for (int i = group * EntryLayout::kFp4Group; i < (group + 1) * EntryLayout::kFp4Group; i += 2) {
      const auto pair = std::to_integer<unsigned>(packed[i / 2]);
      out[i] = kE2m1Values[pair & 15U] * scale;
      out[i + 1] = kE2m1Values[pair >> 4U] * scale;
    }
  }
}

}  // namespace

void packEntry(const EntryLayout& layout, std::byte* out, const float* values) {
  switch (layout.format) {
    case EntryFormat::Float32:
      std::memcpy(out, values, static_cast<std::size_t>(layout.bytes()));
      return;
    case EntryFormat::KeyValue:
      return packKeyValue(layout, out, values);
    case EntryFormat::IndexerKey:
      return packIndexerKey(layout, out, values);
  }
}

void unpackEntry(const EntryLayout& layout, float* out, const std::byte* packed) {
  switch (layout.format) {
    case EntryFormat::Float32:
      std::memcpy(out, packed, static_cast<std::size_t>(layout.bytes()));
      return;
    case EntryFormat::KeyValue:
      return unpackKeyValue(layout, out, packed);
    case EntryFormat::IndexerKey:
      return unpackIndexerKey(layout, out, packed);
  }
}

}  // namespace tandem::kernels
