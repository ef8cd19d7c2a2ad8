// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cases/case_values.h"

#include <cstring>

#include "engine/kernels/number_formats.h"

namespace tandem::kernels {

std::uint8_t CaseValues::byte() {
  // splitmix64: its upper bits pass every test of randomness.
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<std::uint8_t>(mixed >> 56U);
}

float CaseValues::number() {
  return static_cast<float>(byte() - 128) / 64.F;
}

std::vector<float> CaseValues::numbers(std::int64_t count) {
  std::vector<float> made(static_cast<std::size_t>(count));
  for (float& value : made) {
    value = number();
  }
  return made;
}

std::vector<float> CaseValues::wholeNumbers(std::int64_t count) {
  std::vector<float> made(static_cast<std::size_t>(count));
  for (float& value : made) {
    value = static_cast<float>(byte() % 7 - 3);
  }
  return made;
}

CaseWeight makeCaseWeight(CaseValues& values,
                          WeightFormat format,
                          std::int64_t rows,
                          std::int64_t cols,
                          int blockRow,
                          int blockColumn) {
  constexpr int kNan = 0x7F;
  constexpr int kSmallestScale = 120;
  CaseWeight made;
  made.view.format = format;
  made.view.rows = rows;
  made.view.cols = cols;
  made.codes.resize(static_cast<std::size_t>(rows * made.view.rowBytes()));
  if (format == WeightFormat::F32 || format == WeightFormat::Bf16) {
    const std::size_t width = format == WeightFormat::F32 ? 4 : 2;
    for (std::size_t at = 0; at < made.codes.size(); at += width) {
      const float value = values.number();
      const std::uint16_t half = floatToBf16(value);
      std::memcpy(made.codes.data() + at,
                  width == 4 ? static_cast<const void*>(&value) : static_cast<const void*>(&half),
                  width);
    }
  } else {
    for (std::uint8_t& code : made.codes) {
      code = values.byte();
      if (format == WeightFormat::Fp8Block && (code & kNan) == kNan) {
        --code;
      }
    }
    std::int64_t scaleRows = rows;
    if (format == WeightFormat::Fp8Block) {
      const std::int64_t block = WeightMatrix::kFp8Block;
      scaleRows = (blockRow + rows + block - 1) / block;
      made.view.scaleStride = (blockColumn + cols + block - 1) / block;
      made.view.blockRow = blockRow;
      made.view.blockColumn = blockColumn;
    } else {
      made.view.scaleStride = cols / WeightMatrix::kMxfp4Group;
    }
    made.scales.resize(static_cast<std::size_t>(scaleRows * made.view.scaleStride));
    for (std::uint8_t& scale : made.scales) {
      scale = static_cast<std::uint8_t>(kSmallestScale + values.byte() % 8);
    }
  }
  made.view.codes = made.codes.data();
  made.view.scales = made.scales.empty() ? nullptr : made.scales.data();
  return made;
}

std::vector<float> expandAll(const WeightMatrix& weight) {
  std::vector<float> all(static_cast<std::size_t>(weight.rows * weight.cols));
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    expandRow(weight, row, {all.data() + row * weight.cols, static_cast<std::size_t>(weight.cols)});
  }
  return all;
}

}  // namespace tandem::kernels
