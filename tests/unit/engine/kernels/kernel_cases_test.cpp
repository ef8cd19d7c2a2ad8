// SPDX-License-Identifier: GPL-3.0-or-later
// The cases of every operator on the reference and on the CPU, and that they catch wrong operators.
#include <algorithm>
#include <cmath>
#include <set>

#include <QTest>

#include "engine/kernels/cases/case_check.h"
#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cpu/cpu_operators.h"
#include "engine/kernels/entry_codec.h"

namespace {

using tandem::Error;
using tandem::ErrorCode;
using tandem::Result;
using tandem::kernels::allCases;
using tandem::kernels::CaseBackend;
using tandem::kernels::CaseReport;
using tandem::kernels::CaseState;
using tandem::kernels::checkCase;
using tandem::kernels::CpuOperators;
using tandem::kernels::EntryPages;
using tandem::kernels::floatEntries;
using tandem::kernels::kAllOperators;
using tandem::kernels::Matrix;
using tandem::kernels::OperatorCase;
using tandem::kernels::OperatorId;
using tandem::kernels::operatorName;
using tandem::kernels::Operators;
using tandem::kernels::ReferenceOperators;
using tandem::kernels::RouterWeights;
using tandem::kernels::unpackEntry;

QByteArray label(const OperatorCase& operatorCase) {
  return QByteArray(operatorName(operatorCase.op).data()) + ": " + operatorCase.name.c_str();
}

void addCaseRows() {
  QTest::addColumn<int>("index");
  const std::vector<OperatorCase> cases = allCases();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    QTest::newRow(label(cases[i]).constData()) << static_cast<int>(i);
  }
}

const OperatorCase& caseAt(int index) {
  static const std::vector<OperatorCase> kCases = allCases();
  return kCases[static_cast<std::size_t>(index)];
}

int failuresOf(Operators& operators, OperatorId op) {
  int failures = 0;
  for (const OperatorCase& operatorCase : allCases()) {
    if (operatorCase.op == op) {
      const CaseReport report = checkCase(operatorCase, {&operators, {}, {}});
      failures += report.state == CaseState::Failed ? 1 : 0;
    }
  }
  return failures;
}

/// Stands for a back end of its own: the reference under its own name is not judged everywhere.
class Imitation : public ReferenceOperators {
 public:
  [[nodiscard]] std::string_view name() const override { return "imitation"; }
};

class WithoutEps final : public Imitation {
 public:
  void rmsNorm(Matrix<float> out,
               Matrix<const float> x,
               std::span<const float> weight,
               float /*eps*/) override {
    ReferenceOperators::rmsNorm(out, x, weight, 0.F);
  }
};

class OneRoundoffTooMany final : public Imitation {
 public:
  void roundKvEntries(Matrix<float> x, std::int64_t ropeDim) override {
    ReferenceOperators::roundKvEntries(x, ropeDim);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      x.row(r)[x.cols - 1] = std::nextafterf(x.row(r)[x.cols - 1], 9.F);
    }
  }
};

/// Adds to each row what only a neighbour can explain, less than any tolerance.
class DependsOnNeighbours final : public Imitation {
 public:
  void rmsNorm(Matrix<float> out,
               Matrix<const float> x,
               std::span<const float> weight,
               float eps) override {
    ReferenceOperators::rmsNorm(out, x, weight, eps);
    if (out.rows > 1) {
      out.row(1)[0] = std::nextafterf(out.row(1)[0], 9.F);
    }
  }
};

class UpperIndexWins final : public Imitation {
 public:
  void indexerTopK(Matrix<std::int32_t> chosen,
                   std::span<std::int32_t> count,
                   Matrix<const float> q,
                   Matrix<const float> headWeights,
                   const EntryPages<const std::byte>& keys,
                   std::span<const std::int32_t> visible) override {
    // The keys in reverse turn the rule for ties round.
    std::vector<float> reversed;
    for (std::int64_t r = 0; r < q.rows; ++r) {
      const std::int32_t last = visible[static_cast<std::size_t>(r)] - 1;
      reversed.clear();
      for (std::int32_t s = last; s >= 0; --s) {
        reversed.resize(reversed.size() + static_cast<std::size_t>(keys.layout.dim));
        unpackEntry(keys.layout,
                    reversed.data() + reversed.size() - keys.layout.dim,
                    keys.entry(s));
      }
      ReferenceOperators::indexerTopK(chosen.middleRows(r, 1),
                                      count.subspan(static_cast<std::size_t>(r), 1),
                                      q.middleRows(r, 1),
                                      headWeights.middleRows(r, 1),
                                      floatEntries({reversed.data(), last + 1, keys.layout.dim}),
                                      visible.subspan(static_cast<std::size_t>(r), 1));
      const auto used = static_cast<std::ptrdiff_t>(count[static_cast<std::size_t>(r)]);
      for (std::ptrdiff_t j = 0; j < used; ++j) {
        chosen.row(r)[j] = last - chosen.row(r)[j];
      }
      std::reverse(chosen.row(r), chosen.row(r) + used);
    }
  }
};

class WritesNothing final : public Imitation {
 public:
  void linear(Matrix<float> /*out*/,
              Matrix<const float> /*x*/,
              const tandem::kernels::WeightMatrix& /*weight*/,
              tandem::kernels::ActivationRounding /*rounding*/) override {}
};

class KernelCasesTest : public QObject {
  Q_OBJECT

 private slots:
  void everyOperatorHasACaseWithAnIndependentAnswer();
  void caseNamesAreUnique();
  void theReferenceGivesTheKnownAnswers_data() { addCaseRows(); }
  void theReferenceGivesTheKnownAnswers();
  void theCpuMatches_data() { addCaseRows(); }
  void theCpuMatches();
  void aToleranceIsNeverWide_data() { addCaseRows(); }
  void aToleranceIsNeverWide();
  void aMissingEpsIsCaught();
  void oneRoundoffIsCaughtWhereBitsAreFixed();
  void aRowThatDependsOnItsNeighboursIsCaught();
  void theWrongRuleForTiesIsCaught();
  void anOutputThatIsNotWrittenIsCaught();
  void anOperatorWithoutAKernelIsNotCountedAsPassed();
  void aBackEndThatFailedIsNotCountedAsPassed();
};

void KernelCasesTest::everyOperatorHasACaseWithAnIndependentAnswer() {
  std::set<OperatorId> answered;
  for (const OperatorCase& operatorCase : allCases()) {
    if (!operatorCase.answer.empty()) {
      answered.insert(operatorCase.op);
      QCOMPARE(static_cast<std::int64_t>(operatorCase.answer.size()),
               operatorCase.rows * operatorCase.columns);
    }
  }
  QCOMPARE(answered.size(), kAllOperators.size());
}

void KernelCasesTest::caseNamesAreUnique() {
  std::set<QByteArray> labels;
  for (const OperatorCase& operatorCase : allCases()) {
    QVERIFY2(labels.insert(label(operatorCase)).second, label(operatorCase).constData());
  }
}

void KernelCasesTest::theReferenceGivesTheKnownAnswers() {
  QFETCH(int, index);
  ReferenceOperators operators;
  const CaseReport report = checkCase(caseAt(index), {&operators, {}, {}});
  if (report.state == CaseState::NoAnswer) {
    // The others are checked on the CPU against the reference; here, that it is row-invariant.
    Imitation imitation;
    const CaseReport itself = checkCase(caseAt(index), {&imitation, {}, {}});
    QVERIFY2(itself.state == CaseState::Passed, itself.describe().c_str());
    return;
  }
  QVERIFY2(report.state == CaseState::Passed, report.describe().c_str());
}

void KernelCasesTest::theCpuMatches() {
  QFETCH(int, index);
  for (const int threads : {1, 3}) {
    CpuOperators operators(threads);
    const CaseReport report = checkCase(caseAt(index), {&operators, {}, {}});
    QVERIFY2(report.state == CaseState::Passed, report.describe().c_str());
  }
}

void KernelCasesTest::aToleranceIsNeverWide() {
  QFETCH(int, index);
  const OperatorCase& operatorCase = caseAt(index);
  const auto size = static_cast<std::size_t>(operatorCase.rows * operatorCase.columns);
  std::vector<float> expected(size);
  std::vector<float> allowed(size, NAN);
  ReferenceOperators reference;
  operatorCase.run(reference, 0, {expected.data(), operatorCase.rows, operatorCase.columns});
  operatorCase.allow({allowed.data(), operatorCase.rows, operatorCase.columns},
                     Matrix<float>(expected.data(), operatorCase.rows, operatorCase.columns));
  double squares = 0;
  double allowedSquares = 0;
  for (std::size_t i = 0; i < size; ++i) {
    QVERIFY(allowed[i] >= 0);
    squares += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
    allowedSquares += static_cast<double>(allowed[i]) * static_cast<double>(allowed[i]);
  }
  // Less than a BF16 rounding of the output as a whole: wide enough for float, too narrow for a
  // missing term or a wrong index.
  QVERIFY2(std::sqrt(allowedSquares) <= std::sqrt(squares) / 256,
           qPrintable(QStringLiteral("allowed %1 of %2")
                          .arg(std::sqrt(allowedSquares))
                          .arg(std::sqrt(squares))));
}

void KernelCasesTest::aMissingEpsIsCaught() {
  WithoutEps operators;
  QVERIFY(failuresOf(operators, OperatorId::RmsNorm) > 0);
}

void KernelCasesTest::oneRoundoffIsCaughtWhereBitsAreFixed() {
  OneRoundoffTooMany operators;
  QCOMPARE(failuresOf(operators, OperatorId::RoundKvEntries), 2);
}

void KernelCasesTest::aRowThatDependsOnItsNeighboursIsCaught() {
  DependsOnNeighbours operators;
  QVERIFY(failuresOf(operators, OperatorId::RmsNorm) > 0);
  for (const OperatorCase& operatorCase : allCases()) {
    if (operatorCase.op == OperatorId::RmsNorm) {
      QCOMPARE(checkCase(operatorCase, {&operators, {}, {}}).dependentRow, 1);
    }
  }
}

void KernelCasesTest::theWrongRuleForTiesIsCaught() {
  UpperIndexWins operators;
  QVERIFY(failuresOf(operators, OperatorId::IndexerTopK) > 0);
}

void KernelCasesTest::anOutputThatIsNotWrittenIsCaught() {
  WritesNothing operators;
  QVERIFY(failuresOf(operators, OperatorId::Linear) > 0);
}

void KernelCasesTest::anOperatorWithoutAKernelIsNotCountedAsPassed() {
  Imitation operators;
  const CaseBackend backend{&operators, [](OperatorId) { return false; }, {}};
  for (const OperatorCase& operatorCase : allCases()) {
    QCOMPARE(checkCase(operatorCase, backend).state, CaseState::NoKernel);
  }
}

void KernelCasesTest::aBackEndThatFailedIsNotCountedAsPassed() {
  Imitation operators;
  const CaseBackend backend{
      &operators,
      {},
      [] {
        return Result<void>(Error{ErrorCode::Internal, "the device is gone", ""});
      }};
  const CaseReport report = checkCase(allCases().front(), backend);
  QCOMPARE(report.state, CaseState::Failed);
  QVERIFY(report.describe().find("the device is gone") != std::string::npos);
}

}  // namespace

QTEST_GUILESS_MAIN(KernelCasesTest)
#include "kernel_cases_test.moc"
