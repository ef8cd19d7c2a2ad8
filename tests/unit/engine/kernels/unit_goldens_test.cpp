// SPDX-License-Identifier: GPL-3.0-or-later
// Every operator on both back ends against the unit goldens beside the repository.
#include <cmath>
#include <memory>

#include <QTest>

#include "engine/kernels/cases/operator_case.h"
#include "engine/kernels/number_formats.h"
#include "tests/support/shared_data.h"
#include "tests/unit/engine/kernels/golden_check.h"
#include "tests/unit/engine/kernels/unit_golden_cases.h"

namespace {

using tandem::kernels::kFloatRoundoff;
using tandem::kernels::OperatorCase;
using tandem::test::sharedData;
using tandem::tests::addGoldenRows;
using tandem::tests::checkBoundIsNarrow;
using tandem::tests::checkGolden;
using tandem::tests::Table;
using tandem::tests::unitGoldenCases;
using tandem::tests::UnitGoldens;

class UnitGoldensTest : public QObject {
  Q_OBJECT

  std::unique_ptr<UnitGoldens> goldens_;
  std::vector<OperatorCase> cases_;

 private slots:
  void initTestCase() {
    const QString folder = sharedData(QStringLiteral("unit-goldens"));
    if (folder.isEmpty()) {
      QSKIP("../shared/data/unit-goldens is not here");
    }
    goldens_ = std::make_unique<UnitGoldens>(folder.toStdString());
    cases_ = unitGoldenCases(*goldens_);
  }

  void operatorsEqualTheGoldens_data() { addGoldenRows(cases_); }
  void operatorsEqualTheGoldens() {
    QFETCH(int, index);
    QFETCH(bool, reference);
    const QString wrong = checkGolden(cases_[static_cast<std::size_t>(index)], reference);
    QVERIFY2(wrong.isEmpty(), qPrintable(wrong));
  }

  void aBoundIsNeverWide() {
    for (const OperatorCase& golden : cases_) {
      // The attention's golden rounds to BF16 on the way.
      const bool roundsOnTheWay = golden.op == tandem::kernels::OperatorId::SparseAttention;
      const QString wrong = checkBoundIsNarrow(golden, roundsOnTheWay ? 1.0 / 16 : 1.0 / 128);
      QVERIFY2(wrong.isEmpty(), qPrintable(wrong));
    }
  }

  void theHadamardTransformEqualsTheGolden() {
    Table x = goldens_->table("unit_hadamard", "x");
    const Table y = goldens_->table("unit_hadamard", "y");
    const std::vector<std::int32_t> dims = goldens_->integers("unit_hadamard", "dims");
    QCOMPARE(x.cols, dims[1]);
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      double norm = 0;
      for (const float value : x.view().rowSpan(r)) {
        norm += static_cast<double>(value) * static_cast<double>(value);
      }
      tandem::kernels::hadamard(x.view().rowSpan(r));
      // The transform keeps the norm; each of its 7 steps and the scale rounds once, on both sides.
      const double allowed = 2 * 8 * kFloatRoundoff * std::sqrt(norm);
      for (std::int64_t c = 0; c < x.cols; ++c) {
        const double off = std::fabs(static_cast<double>(x.view().row(r)[c]) -
                                     static_cast<double>(y.view().row(r)[c]));
        QVERIFY2(off <= allowed, qPrintable(QStringLiteral("row %1: %2").arg(r).arg(off)));
      }
    }
  }

  void roundingToFp4EqualsTheGoldenBitForBit() {
    Table x = goldens_->table("unit_act_quant_fp4", "x");
    tandem::kernels::roundGroupsToE2m1(x.values,
                                       goldens_->integers("unit_act_quant_fp4", "dims")[2]);
    QCOMPARE(x.values, goldens_->table("unit_act_quant_fp4", "y_ref").values);
  }

  // Last: what the tests above have read.
  void everyTensorOfEveryFileWasUsed() {
    QStringList unread;
    for (const std::string& name : goldens_->unread()) {
      // Shapes that the tensors themselves say again.
      if (!name.ends_with(": dims")) {
        unread.append(QString::fromStdString(name));
      }
    }
    QCOMPARE(unread, QStringList());
  }
};

}  // namespace

QTEST_GUILESS_MAIN(UnitGoldensTest)
#include "unit_goldens_test.moc"
