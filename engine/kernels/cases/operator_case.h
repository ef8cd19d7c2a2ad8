// SPDX-License-Identifier: GPL-3.0-or-later
// One operator on one small, fixed input, with the error that correct float arithmetic may make.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "engine/kernels/matrix.h"
#include "engine/kernels/operator_id.h"
#include "engine/kernels/operators.h"

namespace tandem::kernels {

/// Unit roundoff of float: one operation's result is off by at most this, relatively.
inline constexpr double kFloatRoundoff = 1.0 / (1 << 24);

/// How far a float sum of `terms` products is from the true one, relative to the sum of the
/// magnitudes. Its n roundings partly cancel: 8 sqrt(n) of them remain with near certainty (N.
/// Higham, T. Mary: A new approach to probabilistic rounding error analysis, 2019), never more than
/// n.
[[nodiscard]] inline double sumError(std::int64_t terms) {
  const auto roundings = static_cast<double>(terms + 2);
  return kFloatRoundoff * std::min(roundings, 8 * std::sqrt(roundings));
}

/// The inputs live as long as the case: `run` and `allow` share them.
struct OperatorCase {
  OperatorId op = OperatorId::Linear;
  std::string name;          // what is special about it: "fp8, 3 x 257 -> 130, inside a block"
  std::int64_t rows = 0;     // of the output
  std::int64_t columns = 0;  // several outputs stand beside each other
  /// The answer as an implementation in another language gave it, [rows * columns]; empty when the
  /// reference's is the answer.
  std::span<const float> answer;

  /// Computes rows [first, first + out.rows) of the output.
  std::function<void(Operators& operators, std::int64_t first, Matrix<float> out)> run;

  /// How far each element may be from `expected`: a bound on the rounding of a float evaluation in
  /// any order of its sums, 0 where every evaluation must give the same bits.
  std::function<void(Matrix<float> allowed, Matrix<const float> expected)> allow;
};

}  // namespace tandem::kernels
