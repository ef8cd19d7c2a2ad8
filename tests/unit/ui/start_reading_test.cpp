// SPDX-License-Identifier: GPL-3.0-or-later
// The events of a start, read as phases, lanes and comparisons.
#include "ui/bridge/start_reading.h"

#include <QTest>

namespace tandem::test {

using api::Phase;
using api::PhaseEvent;
using api::PhaseEventKind;
using ui::PhaseState;
using ui::startRecordOf;

namespace {

constexpr std::int64_t kStartNs = 7'000'000'000'000;
constexpr std::int64_t kStartWallMs = 1'790'000'000'000;

std::int64_t nsAt(double seconds) {
  return kStartNs + static_cast<std::int64_t>(seconds * 1e9);
}

PhaseEvent eventAt(double seconds, Phase phase, int rank, PhaseEventKind kind) {
  PhaseEvent made;
  made.phase = phase;
  made.rank = rank;
  made.kind = kind;
  made.monotonicNs = nsAt(seconds);
  made.wallMs = kStartWallMs + static_cast<std::int64_t>(seconds * 1000);
  return made;
}

PhaseEvent loading(double seconds, int rank, std::uint64_t done, const std::string& detail) {
  PhaseEvent made = eventAt(seconds, Phase::Weights, rank, PhaseEventKind::Progress);
  made.bytesDone = done;
  made.bytesTotal = 1000;
  made.detail = detail;
  return made;
}

/// Two ranks, one still loading after a second.
std::vector<PhaseEvent> halfAStart() {
  return {eventAt(0.0, Phase::Spawn, 0, PhaseEventKind::Begin),
          eventAt(0.2, Phase::Spawn, 0, PhaseEventKind::End),
          eventAt(0.2, Phase::Connect, 0, PhaseEventKind::Begin),
          eventAt(0.3, Phase::Connect, 1, PhaseEventKind::Begin),
          eventAt(0.4, Phase::Connect, 1, PhaseEventKind::End),
          eventAt(0.4, Phase::Connect, 0, PhaseEventKind::End),
          eventAt(0.5, Phase::Weights, 0, PhaseEventKind::Begin),
          eventAt(0.5, Phase::Weights, 1, PhaseEventKind::Begin),
          loading(0.7, 1, 250, "layer 2 of 8"),
          loading(0.9, 0, 1000, "layer 8 of 8"),
          eventAt(1.0, Phase::Weights, 0, PhaseEventKind::End),
          loading(1.0, 1, 500, "")};
}

std::vector<PhaseEvent> wholeStart() {
  std::vector<PhaseEvent> events = halfAStart();
  events.push_back(eventAt(1.5, Phase::Weights, 1, PhaseEventKind::End));
  events.push_back(eventAt(1.5, Phase::Mtp, 0, PhaseEventKind::Skipped));
  events.push_back(eventAt(1.6, Phase::Api, 0, PhaseEventKind::Begin));
  events.push_back(eventAt(1.75, Phase::Api, 0, PhaseEventKind::End));
  return events;
}

const ui::StartPhase& phaseIn(const ui::StartRecord& record, Phase phase, int rank) {
  for (const ui::StartPhase& candidate : record.phases) {
    if (candidate.phase == phase && candidate.rank == rank) {
      return candidate;
    }
  }
  qFatal("the record has no such phase");
}

}  // namespace

class StartReadingTest : public QObject {
  Q_OBJECT

 private slots:
  void withoutEventsThereIsNoStart();
  void secondsCountFromTheFirstEvent();
  void eachRankHasItsOwnPhases();
  void aRunningPhaseGrowsWithTheClock();
  void bytesAndTheLastWordsStay();
  void theApiEndsTheStart();
  void whatWasOpenAtAnEndIsFailedOrCancelled_data();
  void whatWasOpenAtAnEndIsFailedOrCancelled();
  void anotherHostsClockPutsNothingBeforeStart();
  void usualValuesStandBesideTheirPhases();
  void afterTheEndNothingIsExpected();
};

void StartReadingTest::withoutEventsThereIsNoStart() {
  const ui::StartRecord record = startRecordOf({}, {true, false, nsAt(3)}, app::UsualStart{});
  QVERIFY(record.phases.empty());
  QVERIFY(!record.running);
}

void StartReadingTest::secondsCountFromTheFirstEvent() {
  const ui::StartRecord record = startRecordOf(halfAStart(), {true, false, nsAt(1.2)}, {});
  QCOMPARE(record.elapsed, 1.2);
  QVERIFY(record.running);
  QVERIFY(!record.ready);
  const ui::StartPhase& connect = phaseIn(record, Phase::Connect, 1);
  QCOMPARE(connect.begin, 0.3);
  QCOMPARE(connect.end, 0.4);
  QCOMPARE(connect.beginWallMs, kStartWallMs + 300);
}

void StartReadingTest::eachRankHasItsOwnPhases() {
  const ui::StartRecord record = startRecordOf(halfAStart(), {true, false, nsAt(1.2)}, {});
  QCOMPARE(record.phases.size(), std::size_t{5});
  QCOMPARE(phaseIn(record, Phase::Weights, 0).state, PhaseState::Done);
  QCOMPARE(phaseIn(record, Phase::Weights, 1).state, PhaseState::Running);
}

void StartReadingTest::aRunningPhaseGrowsWithTheClock() {
  const auto lengthAt = [](double seconds) {
    const ui::StartRecord record = startRecordOf(halfAStart(), {true, false, nsAt(seconds)}, {});
    const ui::StartPhase& loads = phaseIn(record, Phase::Weights, 1);
    return loads.end - loads.begin;
  };
  QCOMPARE(lengthAt(1.2), 0.7);
  QCOMPARE(lengthAt(4.5), 4.0);
}

void StartReadingTest::bytesAndTheLastWordsStay() {
  const ui::StartRecord record = startRecordOf(halfAStart(), {true, false, nsAt(1.2)}, {});
  const ui::StartPhase& worker = phaseIn(record, Phase::Weights, 1);
  QCOMPARE(worker.bytesDone, std::uint64_t{500});
  QCOMPARE(worker.bytesTotal, std::uint64_t{1000});
  QCOMPARE(worker.detail, QStringLiteral("layer 2 of 8"));
  const ui::StartPhase& head = phaseIn(record, Phase::Weights, 0);
  QCOMPARE(head.bytesDone, std::uint64_t{1000});
  QVERIFY(head.detail.isEmpty());  // "layer 8 of 8" is no news about a finished phase
}

void StartReadingTest::theApiEndsTheStart() {
  const ui::StartRecord record = startRecordOf(wholeStart(), {false, false, nsAt(99)}, {});
  QVERIFY(record.ready);
  QCOMPARE(record.elapsed, 1.75);
  QCOMPARE(phaseIn(record, Phase::Mtp, 0).state, PhaseState::Skipped);
}

void StartReadingTest::whatWasOpenAtAnEndIsFailedOrCancelled_data() {
  QTest::addColumn<bool>("failed");
  QTest::addColumn<int>("state");
  QTest::newRow("failed") << true << int(PhaseState::Failed);
  QTest::newRow("cancelled") << false << int(PhaseState::Cancelled);
}

void StartReadingTest::whatWasOpenAtAnEndIsFailedOrCancelled() {
  QFETCH(bool, failed);
  QFETCH(int, state);
  std::vector<PhaseEvent> events = halfAStart();
  events.push_back(eventAt(0.9, Phase::Validate, 0, PhaseEventKind::Begin));
  events.push_back(eventAt(1.0, Phase::Validate, 0, PhaseEventKind::Failed));
  const ui::StartRecord record = startRecordOf(events, {false, failed, nsAt(99)}, {});
  QVERIFY(!record.ready);
  QCOMPARE(int(phaseIn(record, Phase::Validate, 0).state), state);
  QCOMPARE(record.elapsed, 1.0);
  QCOMPARE(int(phaseIn(record, Phase::Weights, 1).state), state);
  QCOMPARE(phaseIn(record, Phase::Weights, 1).end, 1.0);
  QCOMPARE(phaseIn(record, Phase::Weights, 0).state, PhaseState::Done);
}

void StartReadingTest::anotherHostsClockPutsNothingBeforeStart() {
  std::vector<PhaseEvent> events = halfAStart();
  events.insert(events.begin() + 1, eventAt(-0.004, Phase::Validate, 1, PhaseEventKind::Begin));
  const ui::StartRecord record = startRecordOf(events, {true, false, nsAt(1)}, {});
  for (const ui::StartPhase& phase : record.phases) {
    QVERIFY(phase.begin >= 0);
  }
}

void StartReadingTest::usualValuesStandBesideTheirPhases() {
  app::UsualStart usual;
  usual.seconds = 2.5;
  usual.count = 4;
  usual.phases = {{Phase::Weights, 1, 0.45, 0.6, 0.8, 4}, {Phase::Api, 0, 2.4, 0.1, 0.2, 4}};
  const ui::StartRecord record = startRecordOf(halfAStart(), {true, false, nsAt(1.4)}, usual);
  QCOMPARE(record.usualSeconds, 2.5);
  QCOMPARE(record.startsKnown, 4);
  const ui::StartPhase& worker = phaseIn(record, Phase::Weights, 1);
  QCOMPARE(worker.usualBegin, 0.45);
  QCOMPARE(worker.usualSeconds, 0.6);
  QCOMPARE(worker.lateSeconds, 0.8);
  QVERIFY(!phaseIn(record, Phase::Weights, 0).usualSeconds);
  QCOMPARE(record.expected.size(), std::size_t{1});
  QCOMPARE(record.expected[0].phase, Phase::Api);
}

void StartReadingTest::afterTheEndNothingIsExpected() {
  app::UsualStart usual;
  usual.count = 1;
  usual.phases = {{Phase::Graphs, 0, 1, 1, 1, 1}};
  QVERIFY(startRecordOf(wholeStart(), {false, false, nsAt(2)}, usual).expected.empty());
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::StartReadingTest)
#include "start_reading_test.moc"
