// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/weight_matrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "engine/kernels/number_formats.h"

namespace tandem::kernels {

std::int64_t WeightMatrix::rowBytes() const {
  switch (format) {
    case WeightFormat::F32:
      return cols * 4;
    case WeightFormat::Bf16:
      return cols * 2;
    case WeightFormat::Fp8Block:
      return cols;
    case WeightFormat::Mxfp4:
      return cols / 2;
  }
  return 0;
}

WeightMatrix WeightMatrix::middleRows(std::int64_t first, std::int64_t count) const {
  assert(first >= 0 && first + count <= rows);
  WeightMatrix part = *this;
  part.rows = count;
  part.codes += first * rowBytes();
  if (format == WeightFormat::Fp8Block) {
    part.scales += (blockRow + first) / kFp8Block * scaleStride;
    part.blockRow = static_cast<int>((blockRow + first) % kFp8Block);
  } else if (format == WeightFormat::Mxfp4) {
    part.scales += first * scaleStride;
  }
  return part;
}

namespace {

void expandBf16(const std::uint8_t* codes, std::span<float> out) {
  for (std::size_t c = 0; c < out.size(); ++c) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, codes + 2 * c, sizeof bits);
    out[c] = bf16ToFloat(bits);
  }
}

void expandFp8(const WeightMatrix& weight, std::int64_t row, std::span<float> out) {
  const std::array<float, 256>& values = e4m3Values();
  const std::uint8_t* codes = weight.codes + row * weight.cols;
  const std::uint8_t* scales =
      weight.scales + (weight.blockRow + row) / WeightMatrix::kFp8Block * weight.scaleStride;
  std::int64_t begin = 0;
  std::int64_t end = WeightMatrix::kFp8Block - weight.blockColumn;
  for (; begin < weight.cols; begin = end, end += WeightMatrix::kFp8Block, ++scales) {
    const float scale = e8m0ToFloat(*scales);
    for (std::int64_t c = begin; c < std::min(end, weight.cols); ++c) {
      out[static_cast<std::size_t>(c)] = values[codes[c]] * scale;
    }
  }
}

void expandMxfp4(const WeightMatrix& weight, std::int64_t row, std::span<float> out) {
  const std::uint8_t* codes = weight.codes + row * weight.cols / 2;
  const std::uint8_t* scales = weight.scales + row * weight.scaleStride;
  for (std::size_t group = 0; group < out.size() / WeightMatrix::kMxfp4Group; ++group) {
    const float scale = e8m0ToFloat(scales[group]);
    float* values = out.data() + group * WeightMatrix::kMxfp4Group;
    const std::uint8_t* bytes = codes + group * WeightMatrix::kMxfp4Group / 2;
    for (int i = 0; i < WeightMatrix::kMxfp4Group / 2; ++i) {
      values[2 * i] = kE2m1Values[bytes[i] & 15U] * scale;
      values[2 * i + 1] = kE2m1Values[bytes[i] >> 4U] * scale;
    }
  }
}

}  // namespace

void expandRow(const WeightMatrix& weight, std::int64_t row, std::span<float> out) {
  assert(row >= 0 && row < weight.rows);
  assert(out.size() == static_cast<std::size_t>(weight.cols));
  switch (weight.format) {
    case WeightFormat::F32:
      std::memcpy(out.data(), weight.codes + row * weight.rowBytes(), out.size() * sizeof(float));
      return;
    case WeightFormat::Bf16:
      expandBf16(weight.codes + row * weight.rowBytes(), out);
      return;
    case WeightFormat::Fp8Block:
      expandFp8(weight, row, out);
      return;
    case WeightFormat::Mxfp4:
      expandMxfp4(weight, row, out);
      return;
  }
}

}  // namespace tandem::kernels
