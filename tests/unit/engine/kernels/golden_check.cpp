// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/golden_check.h"

#include <cmath>

#include <QTest>

#include "engine/kernels/cases/case_check.h"
#include "engine/kernels/cpu/cpu_operators.h"

namespace tandem::tests {

void addGoldenRows(const std::vector<kernels::OperatorCase>& cases) {
  QTest::addColumn<int>("index");
  QTest::addColumn<bool>("reference");
  for (const bool reference : {true, false}) {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      QTest::addRow("%s, %s", reference ? "reference" : "cpu", cases[i].name.c_str())
          << static_cast<int>(i) << reference;
    }
  }
}

QString checkGolden(const kernels::OperatorCase& golden, bool reference) {
  kernels::ReferenceOperators scalar;
  kernels::CpuOperators fast(2);
  kernels::Operators* operators = &scalar;
  if (!reference) {
    operators = &fast;
  }
  const kernels::CaseReport report = kernels::checkCase(golden, {operators, {}, {}});
  return report.state == kernels::CaseState::Passed
             ? QString()
             : QString::fromStdString(golden.name + ": " + report.describe());
}

QString checkBoundIsNarrow(const kernels::OperatorCase& golden, double share) {
  std::vector<float> expected(golden.answer.begin(), golden.answer.end());
  std::vector<float> allowed(expected.size());
  const kernels::Matrix<float> answer(expected.data(), golden.rows, golden.columns);
  golden.allow({allowed.data(), golden.rows, golden.columns}, answer);
  double squares = 0;
  double allowedSquares = 0;
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    squares += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
    allowedSquares += static_cast<double>(allowed[i]) * static_cast<double>(allowed[i]);
  }
  return std::sqrt(allowedSquares) <= share * std::sqrt(squares)
             ? QString()
             : QStringLiteral("%1: allowed %2 of %3")
                   .arg(QString::fromStdString(golden.name))
                   .arg(std::sqrt(allowedSquares))
                   .arg(std::sqrt(squares));
}

}  // namespace tandem::tests
