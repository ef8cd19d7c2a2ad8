// SPDX-License-Identifier: GPL-3.0-or-later
// Cases of the root-mean-square norm.
#include <fmt/core.h>

#include <cmath>
#include <memory>

#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/cases/known_answers.h"

namespace tandem::kernels {

namespace {

constexpr float kEps = 1e-6F;

struct Inputs {
  std::vector<float> x;
  std::vector<float> weight;
};

OperatorCase makeCase(std::uint64_t seed,
                      const char* what,
                      std::int64_t rows,
                      std::int64_t cols,
                      bool weighted,
                      float factor = 1.F) {
  CaseValues values(seed);
  const auto inputs = std::make_shared<Inputs>();
  inputs->x = values.numbers(rows * cols);
  for (float& value : inputs->x) {
    value *= factor;
  }
  if (weighted) {
    inputs->weight = values.numbers(cols);
  }
  OperatorCase made;
  made.op = OperatorId::RmsNorm;
  made.name = fmt::format("{}, {} x {}", what, rows, cols);
  made.rows = rows;
  made.columns = cols;
  made.run = [inputs, cols](Operators& operators, std::int64_t first, Matrix<float> out) {
    operators.rmsNorm(out, {inputs->x.data() + first * cols, out.rows, cols}, inputs->weight, kEps);
  };
  made.allow = [cols](Matrix<float> allowed, Matrix<const float> expected) {
    // The root halves the error of the sum of squares; then mean, eps, root, reciprocal and two
    // products, each off by at most two roundoffs.
    const double relative = sumError(cols) / 2 + 10 * kFloatRoundoff;
    for (std::int64_t r = 0; r < expected.rows; ++r) {
      for (std::int64_t c = 0; c < expected.cols; ++c) {
        allowed.row(r)[c] =
            static_cast<float>(relative * std::fabs(static_cast<double>(expected.row(r)[c])));
      }
    }
  };
  return made;
}

}  // namespace

std::vector<OperatorCase> normCases() {
  std::vector<OperatorCase> cases;
  cases.push_back(makeCase(200, "known answer", 2, 37, true));
  cases[0].answer = knownAnswer(OperatorId::RmsNorm);
  cases.push_back(makeCase(201, "one channel", 3, 1, true));
  cases.push_back(makeCase(202, "no weight, odd", 5, 515, false));
  cases.push_back(makeCase(203, "a residual row", 8, 4096, true));
  cases.push_back(makeCase(204, "eps counts", 2, 512, true, 1e-4F));
  cases.push_back(makeCase(205, "large values", 2, 1024, true, 65536.F));
  return cases;
}

}  // namespace tandem::kernels
