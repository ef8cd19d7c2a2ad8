// SPDX-License-Identifier: GPL-3.0-or-later
// The projection of two Sparks: its anchors, its arrivals, and what it says about policies.
#include "engine/tools/scheduler_simulation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <QTemporaryDir>
#include <QTest>

using namespace tandem;
using namespace tandem::tools;
using namespace std::chrono_literals;
using runtime::PromptOrder;
using runtime::ScheduledChunk;

namespace {

double milliseconds(const ScheduledChunk& chunk) {
  return std::chrono::duration<double, std::milli>(TwoSparkCost().duration({&chunk, 1})).count();
}

SimulationResult run(const std::string& mix,
                     PromptOrder order,
                     std::chrono::milliseconds longestStall,
                     std::int32_t blocks = 8000) {
  SimulationOptions options;
  options.limits.prefillChunkTokens = 4096;
  options.limits.promptOrder = order;
  options.limits.longestStall = longestStall;
  options.capacity = {blocks, 6, 256};
  const std::vector<TraceTurn> trace = makeTrace(mix, 1).value();
  return simulate(trace, options).value();
}

double longestWaitOfShortPrompts(const SimulationResult& result) {
  double longest = 0;
  for (const SimulatedRequest& request : result.requests) {
    if (request.promptTokens - request.cachedTokens < 2000) {
      longest = std::max(longest, request.firstToken - request.arrived);
    }
  }
  return longest;
}

}  // namespace

class SchedulerSimulationTest : public QObject {
  Q_OBJECT

  QTemporaryDir folder_;

  std::filesystem::path written(const std::string& text) {
    const std::filesystem::path file =
        std::filesystem::path(folder_.path().toStdString()) / "trace.jsonl";
    std::ofstream(file) << text;
    return file;
  }

 private Q_SLOTS:
  void stepsTakeWhatTheByteAccountingSays() {
    // 27.4 ms for a row without speculation at 250 GB/s, 44.6 ms with two drafts and collectives of
    // 11 us: 86 of them at 31 us instead are 1.7 ms more.
    const double serial = milliseconds({nullptr, 0, 1, 0, true});
    QVERIFY2(std::abs(serial - 27.4) < 1.0, qPrintable(QString::number(serial)));
    const double drafted = milliseconds({nullptr, 0, 1, 2, true});
    QVERIFY2(std::abs(drafted - 46.3) < 2.0, qPrintable(QString::number(drafted)));
    // The best prefill published: about 2,700 tokens a second at 50K tokens.
    const double speed = 4096 / milliseconds({nullptr, 50'000, 4096, 0, false}) * 1000;
    QVERIFY2(std::abs(speed - 2700) < 100, qPrintable(QString::number(speed)));
  }

  void theSameSeedGivesTheSameArrivalsAndTheSameResult() {
    const SimulationResult a = run("burst", PromptOrder::HalfToShortest, 500ms);
    const SimulationResult b = run("burst", PromptOrder::HalfToShortest, 500ms);
    QCOMPARE(a.steps, b.steps);
    QCOMPARE(a.seconds, b.seconds);
    QVERIFY(makeTrace("chat", 1).value()[0].newTokens != makeTrace("chat", 2).value()[0].newTokens);
  }

  void everyRequestOfEveryMixIsAnswered() {
    for (const char* mix : kTraceMixes) {
      const SimulationResult result = run(mix, PromptOrder::HalfToShortest, 500ms);
      QCOMPARE(result.requests.size(), makeTrace(mix, 1).value().size());
      for (const SimulatedRequest& request : result.requests) {
        QVERIFY(request.arrived <= request.started && request.started < request.firstToken &&
                request.firstToken <= request.ended);
      }
    }
    QVERIFY(!makeTrace("nonsense", 1).ok());
  }

  void laterTurnsFindWhatWasSaidBefore() {
    const SimulationResult result = run("agents", PromptOrder::HalfToShortest, 500ms);
    std::set<int> seen;
    for (const SimulatedRequest& request : result.requests) {
      if (!seen.insert(request.session).second) {
        // But for what the last snapshot did not reach, and the new part.
        QVERIFY2(request.promptTokens - request.cachedTokens < 6000 + 700 + 512,
                 qPrintable(QString::number(request.cachedTokens)));
      }
    }
  }

  void aSmallCacheStillAnswersEverybody() {
    const SimulationResult result = run("burst", PromptOrder::HalfToShortest, 500ms, 48);
    QCOMPARE(result.requests.size(), makeTrace("burst", 1).value().size());
    QCOMPARE(result.cache.liveBlocks, 0);
  }

  void aShortPromptWaitsLongOnlyWhenTheOldestGoesFirst() {
    QVERIFY(longestWaitOfShortPrompts(run("long", PromptOrder::OldestFirst, 500ms)) > 100);
    QVERIFY(longestWaitOfShortPrompts(run("long", PromptOrder::HalfToShortest, 500ms)) < 10);
  }

  void noAnswerStandsStillForMuchLongerThanTheLongestStall() {
    const SimulationResult result = run("long", PromptOrder::HalfToShortest, 500ms);
    QVERIFY2(result.worstStall < 0.6, qPrintable(QString::number(result.worstStall)));
  }

  void aTraceIsReadLineByLine() {
    const Result<std::vector<TraceTurn>> trace =
        readTrace(written("{\"session\": 1, \"new\": 500, \"answer\": 20}\n\n"
                          "{\"at\": 2.5, \"gap\": 1, \"session\": 1, \"new\": 30, \"shared\": 0, "
                          "\"answer\": 40, \"accept\": [0.5, 0.25, 0]}\n"));
    QVERIFY(trace.ok());
    QCOMPARE(trace->size(), 2U);
    QCOMPARE((*trace)[1].at, 2.5);
    QCOMPARE((*trace)[1].acceptance[1], 0.25);
    SimulationOptions options;
    options.capacity = {100, 2, 10};
    const SimulationResult result = simulate(*trace, options).value();
    QCOMPARE(result.requests.size(), 2U);
    QCOMPARE(result.requests[1].promptTokens, 550);
    QVERIFY(result.requests[1].arrived >= result.requests[0].ended + 1);
  }

  void aBadTraceIsRefusedWithItsLine_data() {
    QTest::addColumn<QString>("line");
    QTest::newRow("no object") << "[]";
    QTest::newRow("not JSON") << "{";
    QTest::newRow("no session") << R"({"new": 5, "answer": 5})";
    QTest::newRow("a text") << R"({"session": 1, "new": "5", "answer": 5})";
    QTest::newRow("negative time") << R"({"session": 1, "new": 5, "answer": 5, "at": -1})";
    QTest::newRow("no answer") << R"({"session": 1, "new": 5, "answer": 0})";
    QTest::newRow("huge") << R"({"session": 1, "new": 1e300, "answer": 5})";
    QTest::newRow("two chances") << R"({"session": 1, "new": 5, "answer": 5, "accept": [1, 1]})";
    QTest::newRow("no chance") << R"({"session": 1, "new": 5, "answer": 5, "accept": [2, 1, 1]})";
  }
  void aBadTraceIsRefusedWithItsLine() {
    QFETCH(QString, line);
    const Result<std::vector<TraceTurn>> trace = readTrace(
        written("{\"session\": 1, \"new\": 500, \"answer\": 20}\n" + line.toStdString() + "\n"));
    QVERIFY(!trace.ok());
    QVERIFY(trace.error().message.find("line 2") != std::string::npos);
  }
};

QTEST_APPLESS_MAIN(SchedulerSimulationTest)
#include "scheduler_simulation_test.moc"
