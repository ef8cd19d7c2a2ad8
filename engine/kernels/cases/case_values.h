// SPDX-License-Identifier: GPL-3.0-or-later
// The inputs of cases: reproducible numbers that are exact in every format, and packed weights.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/matrix.h"
#include "engine/kernels/weight_matrix.h"

namespace tandem::kernels {

/// A stream of reproducible bytes and numbers; tests/golden/operator_answers.py makes the same.
class CaseValues {
 public:
  explicit CaseValues(std::uint64_t seed)
      : state_(seed) {}

  [[nodiscard]] std::uint8_t byte();

  /// Multiples of 1/64 in [-2, 2): exact in BF16 and in float, and so are their products.
  [[nodiscard]] float number();

  [[nodiscard]] std::vector<float> numbers(std::int64_t count);

  /// Whole numbers in [-3, 3]: small sums of their products are exact in any order.
  [[nodiscard]] std::vector<float> wholeNumbers(std::int64_t count);

 private:
  std::uint64_t state_;
};

/// A weight matrix that owns its memory.
struct CaseWeight {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> scales;
  WeightMatrix view;  // of the memory above

  CaseWeight() = default;
  CaseWeight(CaseWeight&&) = default;  // moving a vector keeps its memory
  CaseWeight& operator=(CaseWeight&&) = default;
  CaseWeight(const CaseWeight&) = delete;
  CaseWeight& operator=(const CaseWeight&) = delete;
  ~CaseWeight() = default;
};

/// Random codes of every finite value, scales 2^-7 to 2^0. With Fp8Block, `blockRow` and
/// `blockColumn` say where inside a 128 x 128 block the matrix begins.
[[nodiscard]] CaseWeight makeCaseWeight(CaseValues& values,
                                        WeightFormat format,
                                        std::int64_t rows,
                                        std::int64_t cols,
                                        int blockRow = 0,
                                        int blockColumn = 0);

/// The whole matrix in float, row after row.
[[nodiscard]] std::vector<float> expandAll(const WeightMatrix& weight);

}  // namespace tandem::kernels
