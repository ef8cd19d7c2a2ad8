// SPDX-License-Identifier: GPL-3.0-or-later
// What is learned from measured steps: GPUs that read experts, processors that compute, bad
// samples.
#include "engine/runtime/step_cost_model.h"

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <QTest>

using namespace tandem::runtime;

namespace {

using Machine = std::function<double(const StepShape&)>;  // milliseconds

std::chrono::nanoseconds nanoseconds(double milliseconds) {
  return std::chrono::nanoseconds(std::llround(milliseconds * 1e6));
}

StepShape shapeOf(int decodeRows, int draftsEach, std::int64_t prefillTokens) {
  StepShape shape;
  shape.decodeRows = decodeRows;
  shape.draftRows = decodeRows * draftsEach;
  shape.draftDepth = decodeRows > 0 ? draftsEach : 0;
  shape.prefillTokens = prefillTokens;
  return shape;
}

/// Bound by bandwidth: few rows read few experts, many read all of them.
double gpu(const StepShape& shape) {
  const auto rows = static_cast<double>(shape.rows());
  return 21 + 294 * (1 - std::pow(1 - 6.0 / 256, rows)) + 0.3 * rows + 2.7 * shape.draftDepth +
         3.3e-6 * static_cast<double>(shape.contextTokens);
}

/// Bound by arithmetic: a small model on few cores.
double processor(const StepShape& shape) {
  return 1.5 + 2.0 * static_cast<double>(shape.rows()) + 0.6 * shape.draftRows;
}

/// Steps as a scheduler makes them: a prompt, answers with and without drafts, both together.
std::vector<StepShape> someSteps(std::mt19937& random, int count) {
  std::vector<StepShape> steps;
  for (int i = 0; i < count; ++i) {
    const int answers = static_cast<int>(random() % 5);
    const std::int64_t prompt = random() % 3 == 0 || answers == 0 ? 1 + random() % 512 : 0;
    StepShape shape = shapeOf(answers, static_cast<int>(random() % 3), prompt);
    shape.contextTokens = shape.rows() * static_cast<std::int64_t>(random() % 20000);
    steps.push_back(shape);
  }
  return steps;
}

StepCostModel taught(const Machine& machine, int steps, double noise, unsigned seed) {
  StepCostModel model;
  std::mt19937 random(seed);
  std::normal_distribution<double> gauss(1, noise);
  for (const StepShape& shape : someSteps(random, steps)) {
    model.observe(shape, nanoseconds(machine(shape) * std::max(gauss(random), 0.5)));
  }
  return model;
}

double worstError(const StepCostModel& model, const Machine& machine) {
  double worst = 0;
  for (const int rows : {1, 2, 4, 6}) {
    for (const int drafts : {0, 1, 2}) {
      for (const std::int64_t prompt : {0, 16, 64, 256, 512}) {
        const StepShape shape = shapeOf(rows, drafts, prompt);
        const double truth = machine(shape);
        worst = std::max(worst, std::abs(model.predictMilliseconds(shape) - truth) / truth);
      }
    }
  }
  return worst;
}

}  // namespace

class StepCostModelTest : public QObject {
  Q_OBJECT

 private slots:
  void theFirstStepSetsTheScale() {
    StepCostModel model;
    const StepShape shape = shapeOf(1, 0, 0);
    model.observe(shape, nanoseconds(7));
    QVERIFY(std::abs(model.predictMilliseconds(shape) - 7) < 0.01);
  }

  void learnsAMachineThatReadsExpertsAndOneThatComputes_data() {
    QTest::addColumn<Machine>("machine");
    QTest::newRow("gpu") << Machine(gpu);
    QTest::newRow("processor") << Machine(processor);
  }
  void learnsAMachineThatReadsExpertsAndOneThatComputes() {
    QFETCH(Machine, machine);
    for (unsigned seed = 1; seed <= 10; ++seed) {
      const double error = worstError(taught(machine, 150, 0.03, seed), machine);
      // Five times the noise: some of these shapes were never seen.
      QVERIFY2(error < 0.15, qPrintable(QString("seed %1: %2").arg(seed).arg(error)));
    }
  }

  void aFewStepsAreEnoughToKnowWhatAPromptCostsBesideAnswers() {
    // As an engine begins: one prompt, its answer, and then a second prompt comes.
    StepCostModel model;
    for (const std::int64_t prompt : {512, 512, 200}) {
      model.observe(shapeOf(0, 0, prompt), nanoseconds(gpu(shapeOf(0, 0, prompt))));
    }
    for (int i = 0; i < 20; ++i) {
      model.observe(shapeOf(1, i % 3, 0), nanoseconds(gpu(shapeOf(1, i % 3, 0))));
    }
    const double truth = gpu(shapeOf(1, 0, 128));
    const double guess = model.predictMilliseconds(shapeOf(1, 0, 128));
    QVERIFY2(std::abs(guess - truth) < 0.25 * truth, qPrintable(QString::number(guess)));
  }

  void anOutlierMovesItLittle() {
    StepCostModel model = taught(gpu, 200, 0.02, 3);
    const StepShape shape = shapeOf(2, 1, 0);
    const double before = model.predictMilliseconds(shape);
    model.observe(shape, nanoseconds(100 * gpu(shape)));
    const double after = model.predictMilliseconds(shape);
    QVERIFY2(after < 1.1 * before, qPrintable(QString("%1 → %2").arg(before).arg(after)));
  }

  void aMachineThatStaysSlowerIsBelievedSoon() {
    StepCostModel model = taught(gpu, 200, 0.02, 4);
    const Machine hot = [](const StepShape& shape) { return 2.5 * gpu(shape); };
    std::mt19937 random(5);
    for (const StepShape& shape : someSteps(random, 40)) {
      model.observe(shape, nanoseconds(hot(shape)));
    }
    const double error = worstError(model, hot);
    QVERIFY2(error < 0.15, qPrintable(QString::number(error)));
  }

  void moreWorkNeverLooksQuicker() {
    // Measurements that say so, all the same.
    StepCostModel model;
    std::mt19937 random(6);
    for (const StepShape& shape : someSteps(random, 300)) {
      model.observe(shape, nanoseconds(200.0 / static_cast<double>(shape.rows()) + 1));
      double last = 0;
      for (const std::int64_t prompt : {0, 1, 2, 8, 64, 512, 4096}) {
        const double time = model.predictMilliseconds(shapeOf(2, 1, prompt));
        QVERIFY(std::isfinite(time) && time >= last);
        last = time;
      }
    }
  }

  void theSameStepsGiveTheSameModel() {
    const StepCostModel a = taught(gpu, 100, 0.05, 7);
    const StepCostModel b = taught(gpu, 100, 0.05, 7);
    QCOMPARE(a.predict(3, 77).count(), b.predict(3, 77).count());
    QCOMPARE(a.observations(), 100);
  }

  void stepsOfNothingOrOfNoTimeTeachNothing() {
    StepCostModel model;
    model.observe(StepShape{}, std::chrono::seconds(1));
    model.observe(shapeOf(1, 0, 0), std::chrono::nanoseconds(0));
    model.observe(shapeOf(1, 0, 0), std::chrono::nanoseconds(-5));
    QCOMPARE(model.observations(), 0);
  }
};

QTEST_APPLESS_MAIN(StepCostModelTest)
#include "step_cost_model_test.moc"
