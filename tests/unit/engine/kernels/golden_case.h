// SPDX-License-Identifier: GPL-3.0-or-later
// Operator cases whose answers are files beside the repository, and the arithmetic they share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/kernels/cases/operator_case.h"
#include "engine/kernels/weight_matrix.h"

namespace tandem::tests {

using kernels::Matrix;
using kernels::OperatorCase;
using kernels::OperatorId;
using kernels::Operators;

/// Rows of floats that own their memory.
struct Table {
  std::vector<float> values;
  std::int64_t cols = 0;

  [[nodiscard]] std::int64_t rows() const {
    return static_cast<std::int64_t>(values.size()) / cols;
  }
  [[nodiscard]] Matrix<const float> view() const { return {values.data(), rows(), cols}; }
  [[nodiscard]] Matrix<const float> middleRows(std::int64_t first, std::int64_t count) const {
    return view().middleRows(first, count);
  }
  [[nodiscard]] Matrix<float> view() { return {values.data(), rows(), cols}; }
};

/// A weight that owns its codes and scales.
struct StoredWeight {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  kernels::WeightFormat format = kernels::WeightFormat::F32;

  [[nodiscard]] kernels::WeightMatrix view() const;
};

/// F32 weights of `cols` columns.
[[nodiscard]] StoredWeight floatWeight(const std::vector<float>& values, std::int64_t cols);

using RunCase = std::function<void(Operators& operators, std::int64_t first, Matrix<float> out)>;
using AllowCase = std::function<void(Matrix<float> allowed, Matrix<const float> expected)>;

/// A case that keeps its answer alive; its rows and columns are the answer's.
[[nodiscard]] OperatorCase goldenCase(OperatorId op,
                                      std::string name,
                                      Table answer,
                                      RunCase run,
                                      AllowCase allow);

/// The same bits.
[[nodiscard]] AllowCase exactly();

/// At most these differences, element by element.
[[nodiscard]] AllowCase within(Table bounds);

/// At most this share of the answer, plus `absolute`.
[[nodiscard]] AllowCase relatively(double share, double absolute = 0);

/// The largest relative error of rounding to BF16, whose significand has 8 bits.
inline constexpr double kBf16Roundoff = 1.0 / 256;

/// Σ_k |x[r, k] * W[n, k]|: a float sum in any order is within sumError(in) of it.
[[nodiscard]] Table productMagnitudes(const Table& x, const kernels::WeightMatrix& weight);

/// `values` times `share`.
[[nodiscard]] Table scaled(Table values, double share);

/// Rounds every element to BF16, as the official code does between operators.
void roundRowsToBf16(Matrix<float> rows);

void copyRows(Matrix<float> out, Matrix<const float> rows);

/// Rotates the last channels of each head by tables of cosines and sines, one row of the tables a
/// row of x, beginning at row `first` of the tables. Some goldens have tables of any numbers: a
/// pair whose squares do not sum to 1 also stretches.
void rotateByTables(Operators& operators,
                    Matrix<float> x,
                    std::int64_t headDim,
                    const Table& cosines,
                    const Table& sines,
                    std::int64_t first,
                    kernels::RopeDirection direction);

}  // namespace tandem::tests
