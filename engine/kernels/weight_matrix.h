// SPDX-License-Identifier: GPL-3.0-or-later
// A weight matrix as it lies in memory: packed codes and their scales, never expanded as a whole.
#pragma once

#include <cstdint>
#include <span>

namespace tandem::kernels {

enum class WeightFormat {
  F32,
  Bf16,
  Fp8Block,  // E4M3 codes; one E8M0 scale per 128 x 128 block
  Mxfp4,     // E2M1 codes, two a byte, even column in the low nibble; one E8M0 scale per 32 columns
};

/// W[out, in], row-major. A view: the weights own the memory.
///
/// A tensor-parallel slice may begin inside a 128 x 128 block; `blockRow` and `blockColumn` say how
/// far, and `scales` then begins at that block.
struct WeightMatrix {
  WeightFormat format = WeightFormat::F32;
  std::int64_t rows = 0;  // out
  std::int64_t cols = 0;  // in
  const std::uint8_t* codes = nullptr;
  const std::uint8_t* scales = nullptr;  // E8M0; null for F32 and Bf16
  std::int64_t scaleStride = 0;  // scales from one row of blocks (Mxfp4: one row) to the next
  int blockRow = 0;              // [0, 128)
  int blockColumn = 0;           // [0, 128)

  static constexpr int kFp8Block = 128;
  static constexpr int kMxfp4Group = 32;

  [[nodiscard]] bool isQuantised() const {
    return format == WeightFormat::Fp8Block || format == WeightFormat::Mxfp4;
  }
  [[nodiscard]] std::int64_t rowBytes() const;

  /// Rows [first, first + count) of this matrix.
  [[nodiscard]] WeightMatrix middleRows(std::int64_t first, std::int64_t count) const;
};

/// out[c] = W[row, c], exact in every format. Needs out.size() == cols.
void expandRow(const WeightMatrix& weight, std::int64_t row, std::span<float> out);

}  // namespace tandem::kernels
