// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cases/case_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/kernels/reference/reference_operators.h"

namespace tandem::kernels {

namespace {

class Output {
 public:
  explicit Output(const OperatorCase& shape)
      : values_(static_cast<std::size_t>(shape.rows * shape.columns),
                std::numeric_limits<float>::quiet_NaN()),
        view_(values_.data(), shape.rows, shape.columns) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() = default;

  [[nodiscard]] Matrix<float> view() const { return view_; }

 private:
  std::vector<float> values_;  // NaN where the operator wrote nothing
  Matrix<float> view_;
};

/// Larger is worse; a value that is not a number is the worst of all.
double badness(float got, float expected, float allowed) {
  const double off = std::fabs(static_cast<double>(got) - static_cast<double>(expected));
  if (!(off <= static_cast<double>(allowed))) {
    return std::isnan(off) ? std::numeric_limits<double>::infinity()
                           : 1.0 + off / std::max(static_cast<double>(allowed), 1e-300);
  }
  return off == 0.0 ? 0.0 : off / static_cast<double>(allowed);
}

void compare(CaseReport& report,
             Matrix<const float> got,
             Matrix<const float> expected,
             Matrix<const float> allowed) {
  double worst = -1;
  report.elements = got.rows * got.cols;
  for (std::int64_t r = 0; r < got.rows; ++r) {
    for (std::int64_t c = 0; c < got.cols; ++c) {
      const WorstElement element{r, c, got.row(r)[c], expected.row(r)[c], allowed.row(r)[c]};
      const double bad = badness(element.got, element.expected, element.allowed);
      report.outside += bad > 1.0 ? 1 : 0;
      if (bad > worst) {
        worst = bad;
        report.worst = element;
      }
    }
  }
}

/// The first row that has other bits when it is computed alone, or -1.
std::int64_t firstDependentRow(const OperatorCase& operatorCase,
                               Operators& operators,
                               Matrix<const float> together) {
  std::vector<float> alone(static_cast<std::size_t>(operatorCase.columns));
  for (std::int64_t r = 0; r < operatorCase.rows; ++r) {
    operatorCase.run(operators, r, {alone.data(), 1, operatorCase.columns});
    if (std::memcmp(alone.data(), together.row(r), alone.size() * sizeof(float)) != 0) {
      return r;
    }
  }
  return -1;
}

}  // namespace

const char* caseStateName(CaseState state) {
  switch (state) {
    case CaseState::Passed:
      return "passed";
    case CaseState::Failed:
      return "failed";
    case CaseState::NoKernel:
      return "no kernel yet";
    case CaseState::NoAnswer:
      return "is the answer itself";
  }
  return "";
}

std::string CaseReport::describe() const {
  if (!failure.empty()) {
    return failure;
  }
  std::string text = fmt::format(
      "row {}, column {}: got {:.9g}, expected {:.9g}, off by {:.1e}, allowed {:.1e}; {} of {} "
      "outside",
      worst.row,
      worst.column,
      worst.got,
      worst.expected,
      std::fabs(static_cast<double>(worst.got) - static_cast<double>(worst.expected)),
      worst.allowed,
      outside,
      elements);
  if (dependentRow >= 0) {
    text += fmt::format("; row {} has other bits when it is computed alone", dependentRow);
  }
  return text;
}

CaseReport checkCase(const OperatorCase& operatorCase, const CaseBackend& backend) {
  CaseReport report;
  if (backend.hasKernel && !backend.hasKernel(operatorCase.op)) {
    return report;
  }
  ReferenceOperators reference;
  const bool isReference = backend.operators->name() == reference.name();
  if (isReference && operatorCase.answer.empty()) {
    report.state = CaseState::NoAnswer;
    return report;
  }
  const Output expected(operatorCase);
  if (operatorCase.answer.empty()) {
    operatorCase.run(reference, 0, expected.view());
  } else {
    std::copy(operatorCase.answer.begin(), operatorCase.answer.end(), expected.view().data);
  }
  const Output allowed(operatorCase);
  operatorCase.allow(allowed.view(), expected.view());

  const Output got(operatorCase);
  operatorCase.run(*backend.operators, 0, got.view());
  compare(report, got.view(), expected.view(), allowed.view());
  report.dependentRow = firstDependentRow(operatorCase, *backend.operators, got.view());
  if (backend.failure) {
    if (const Result<void> state = backend.failure(); !state) {
      report.failure = state.error().text();
    }
  }
  const bool good = report.failure.empty() && report.outside == 0 && report.dependentRow < 0;
  report.state = good ? CaseState::Passed : CaseState::Failed;
  return report;
}

}  // namespace tandem::kernels
