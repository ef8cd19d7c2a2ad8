// SPDX-License-Identifier: GPL-3.0-or-later
// When drafting pays: texts that draft well and badly, on a GPU and on a processor.
#include "engine/runtime/draft_policy.h"

#include <array>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <QTest>

using namespace tandem::runtime;

namespace {

using Machine = std::function<double(const StepShape&)>;  // milliseconds
using Acceptance = std::array<double, kMostDrafts>;

constexpr Acceptance kGoodText{0.9, 0.8, 0.7};
constexpr Acceptance kOrdinaryText{0.84, 0.5, 0.16};
constexpr Acceptance kHopelessText{0.02, 0.02, 0.02};

double gpu(const StepShape& shape) {
  const auto rows = static_cast<double>(shape.rows());
  return 21 + 294 * (1 - std::pow(1 - 6.0 / 256, rows)) + 0.3 * rows + 2.7 * shape.draftDepth;
}

/// Verifying k + 1 rows costs nearly k + 1 times as much as one.
double processor(const StepShape& shape) {
  return 0.3 + 2.0 * static_cast<double>(shape.rows()) + 0.4 * shape.draftRows;
}

/// Speed of one text in tokens a millisecond.
struct Reader {
  explicit Reader(Machine on, int maxDrafts)
      : machine(std::move(on)),
        policy(maxDrafts) {}

  /// Reads on until `tokens` more came out; returns tokens per millisecond.
  double read(const Acceptance& text, int tokens, int fixedDrafts = -1) {
    int done = 0;
    double time = 0;
    while (done < tokens) {
      StepShape shape;
      shape.decodeRows = 1;
      DraftCandidate candidate{&history, kMostDrafts, 0, 0};
      policy.choose({&candidate, 1}, shape, costs);
      if (fixedDrafts >= 0) {
        candidate.drafts = fixedDrafts;
      }
      int accepted = 0;
      while (accepted < candidate.drafts &&
             uniform(random) < text[static_cast<std::size_t>(accepted)]) {
        ++accepted;
      }
      shape.draftRows = candidate.drafts;
      shape.draftDepth = candidate.drafts;
      policy.observe(history, candidate.drafts, accepted);
      const double took = machine(shape);
      costs.observe(shape, std::chrono::nanoseconds(std::llround(took * 1e6 * noise(random))));
      time += took;
      done += accepted + 1;
      draftsOfLastStep = candidate.drafts;
    }
    return done / time;
  }

  double serial() const {
    StepShape shape;
    shape.decodeRows = 1;
    return 1 / machine(shape);
  }

  Machine machine;
  DraftPolicy policy;
  StepCostModel costs;
  DraftHistory history;
  std::mt19937 random{11};
  std::uniform_real_distribution<double> uniform{0, 1};
  std::normal_distribution<double> noise{1, 0.02};
  int draftsOfLastStep = 0;
};

}  // namespace

class DraftPolicyTest : public QObject {
  Q_OBJECT

 private slots:
  void aTextThatDraftsBadlyIsNeverBelow095OfSerial_data() {
    QTest::addColumn<Machine>("machine");
    QTest::addColumn<int>("tokens");
    QTest::newRow("gpu, long") << Machine(gpu) << 4000;
    QTest::newRow("processor, long") << Machine(processor) << 4000;
    QTest::newRow("gpu, a page") << Machine(gpu) << 600;
    QTest::newRow("processor, a page") << Machine(processor) << 600;
  }
  void aTextThatDraftsBadlyIsNeverBelow095OfSerial() {
    QFETCH(Machine, machine);
    QFETCH(int, tokens);
    for (const int maxDrafts : {1, 2, 3}) {
      Reader reader(machine, maxDrafts);
      const double speed = reader.read(kHopelessText, tokens) / reader.serial();
      QVERIFY2(speed >= 0.95, qPrintable(QString("%1 with %2 drafts").arg(speed).arg(maxDrafts)));
    }
  }

  void aTextThatDraftsWellIsAsQuickAsWithTheBestFixedNumber_data() {
    QTest::addColumn<Machine>("machine");
    QTest::addColumn<Acceptance>("text");
    QTest::newRow("gpu, good") << Machine(gpu) << kGoodText;
    QTest::newRow("gpu, ordinary") << Machine(gpu) << kOrdinaryText;
    QTest::newRow("processor, good") << Machine(processor) << kGoodText;
    QTest::newRow("processor, ordinary") << Machine(processor) << kOrdinaryText;
  }
  void aTextThatDraftsWellIsAsQuickAsWithTheBestFixedNumber() {
    QFETCH(Machine, machine);
    QFETCH(Acceptance, text);
    double best = 0;
    for (int fixed = 0; fixed <= kMostDrafts; ++fixed) {
      best = std::max(best, Reader(machine, kMostDrafts).read(text, 4000, fixed));
    }
    const double speed = Reader(machine, kMostDrafts).read(text, 4000) / best;
    QVERIFY2(speed >= 0.95, qPrintable(QString::number(speed)));
  }

  void aTextThatTurnsGoodIsNoticed() {
    Reader reader(gpu, 2);
    (void)reader.read(kHopelessText, 2000);
    QCOMPARE(reader.draftsOfLastStep, 0);
    (void)reader.read(kGoodText, 600);
    const double speed = reader.read(kGoodText, 1000) / reader.serial();
    QVERIFY2(speed > 1.3, qPrintable(QString::number(speed)));
  }

  void aTextThatTurnsBadIsGivenUpWithinAPage() {
    Reader reader(gpu, 3);
    (void)reader.read(kGoodText, 2000);
    const double speed = reader.read(kHopelessText, 600) / reader.serial();
    QVERIFY2(speed >= 0.9, qPrintable(QString::number(speed)));
  }

  void aNewTextBeginsWithWhatOthersDid() {
    Reader reader(gpu, 2);
    (void)reader.read(kHopelessText, 2000);
    const DraftHistory fresh;
    QVERIFY(reader.policy.acceptance(fresh, 0) < 0.3);
  }

  void severalAnswersShareTheDrafterAndEachKeepsItsOwnNumber() {
    DraftPolicy policy(2);
    DraftHistory good;
    DraftHistory bad;
    for (int i = 0; i < 50; ++i) {
      policy.observe(good, 2, 2);
      policy.observe(bad, 2, 0);
    }
    StepCostModel costs;
    StepShape shape;
    shape.decodeRows = 2;
    std::array<DraftCandidate, 2> both{DraftCandidate{&bad, 2, 0, 0},
                                       DraftCandidate{&good, 2, 0, 0}};
    policy.choose(both, shape, costs);
    QCOMPARE(both[0].drafts, 0);
    QCOMPARE(both[1].drafts, 2);
  }

  void limitsHold() {
    DraftPolicy policy(3);
    StepCostModel costs;
    StepShape shape;
    shape.decodeRows = 3;
    std::array<DraftHistory, 3> histories;
    for (int i = 0; i < 1000; ++i) {
      std::array<DraftCandidate, 3> candidates{DraftCandidate{&histories[0], 0, 0, 0},
                                               DraftCandidate{&histories[1], 1, 0, 0},
                                               DraftCandidate{&histories[2], 9, 0, 0}};
      policy.choose(candidates, shape, costs);
      QCOMPARE(candidates[0].drafts, 0);
      QVERIFY(candidates[1].drafts <= 1);
      QVERIFY(candidates[2].drafts <= 3);
      policy.observe(histories[2], candidates[2].drafts, candidates[2].drafts);
    }
    DraftPolicy never(0);
    for (int i = 0; i < 1000; ++i) {
      DraftCandidate candidate{&histories[2], 3, 0, 0};
      never.choose({&candidate, 1}, shape, costs);
      QCOMPARE(candidate.drafts, 0);
    }
  }
};

QTEST_APPLESS_MAIN(DraftPolicyTest)
#include "draft_policy_test.moc"
