// SPDX-License-Identifier: GPL-3.0-or-later
// Row-major views of memory that somebody else owns.
#pragma once

#include <cassert>
#include <cstdint>
#include <span>

namespace tandem::kernels {

/// rows x cols elements; row r begins at data + r * stride. Never owns.
template <typename T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;  // elements from one row to the next; >= cols

  Matrix() = default;
  Matrix(T* memory, std::int64_t rowCount, std::int64_t colCount)
      : Matrix(memory, rowCount, colCount, colCount) {}
  Matrix(T* memory, std::int64_t rowCount, std::int64_t colCount, std::int64_t rowStride)
      : data(memory),
        rows(rowCount),
        cols(colCount),
        stride(rowStride) {}

  /// A writable view is also a read-only one.
  operator Matrix<const T>() const { return {data, rows, cols, stride}; }  // NOLINT

  [[nodiscard]] T* row(std::int64_t r) const {
    assert(r >= 0 && r < rows);
    return data + r * stride;
  }
  [[nodiscard]] std::span<T> rowSpan(std::int64_t r) const {
    return {row(r), static_cast<std::size_t>(cols)};
  }
  [[nodiscard]] Matrix middleRows(std::int64_t first, std::int64_t count) const {
    assert(first >= 0 && first + count <= rows);
    return {data + first * stride, count, cols, stride};
  }
};

}  // namespace tandem::kernels
