// SPDX-License-Identifier: GPL-3.0-or-later
// What a start usually takes: the arithmetic, and the file it is kept in.
#include "app/history/start_history.h"

#include <cmath>
#include <limits>

#include <QDir>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>

namespace tandem::test {

using namespace tandem::app;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

api::PhaseEvent event(api::Phase phase, int rank, api::PhaseEventKind kind, double seconds) {
  api::PhaseEvent made;
  made.phase = phase;
  made.rank = rank;
  made.kind = kind;
  made.monotonicNs = 100 * kSecond + std::llround(seconds * 1e9);
  made.wallMs = 5'000 + std::llround(seconds * 1e3);
  return made;
}

/// Spawn, weights of both ranks that overlap, and Api.
std::vector<api::PhaseEvent> eventsOfAStart() {
  using Kind = api::PhaseEventKind;
  return {event(api::Phase::Spawn, 0, Kind::Begin, 0),
          event(api::Phase::Spawn, 0, Kind::End, 0.25),
          event(api::Phase::Weights, 0, Kind::Begin, 0.5),
          event(api::Phase::Weights, 1, Kind::Begin, 0.75),
          event(api::Phase::Weights, 0, Kind::Progress, 1),
          event(api::Phase::Graphs, 0, Kind::Skipped, 1),
          event(api::Phase::Weights, 1, Kind::End, 1.25),
          event(api::Phase::Weights, 0, Kind::End, 1.5),
          event(api::Phase::Api, 0, Kind::Begin, 1.5),
          event(api::Phase::Api, 0, Kind::End, 1.75)};
}

StartRun runOf(double weightSeconds) {
  StartRun run;
  run.wallMs = 7;
  run.seconds = weightSeconds + 1;
  run.phases = {{api::Phase::Weights, 0, 0.5, weightSeconds}};
  return run;
}

const StartKind kDemo{QStringLiteral("demo-model"), 2, QStringLiteral("cpu")};

}  // namespace

class StartHistoryTest : public QObject {
  Q_OBJECT

 private slots:
  void eventsBecomeSecondsSinceTheFirst();
  void aStartThatFailedOrGoesOnIsNoRun();
  void quantilesLieBetweenTheNearestValues_data();
  void quantilesLieBetweenTheNearestValues();
  void usualIsTheMedianAndLateTheNinthOfTen();
  void aPhaseThatSomeStartsSkippedCountsThoseThatHadIt();
  void startsAreComparedWithTheirOwnKindOnly();
  void anOpenQuestionMeansTheKindOfTheNewestStart();
  void onlyTheNewestTwentyAreKept();
  void kindsThatWereNotSeenForLongAreForgotten();
  void anotherProgramReadsWhatWasAdded();
  void twoProgramsDoNotForgetEachOthersStarts();
  void aDamagedFileIsSetAsideAndANewOneBegins_data();
  void aDamagedFileIsSetAsideAndANewOneBegins();
  void aFolderThatCannotBeWrittenIsNamed();
};

void StartHistoryTest::eventsBecomeSecondsSinceTheFirst() {
  const std::optional<StartRun> run = startRunOf(eventsOfAStart());
  QVERIFY(run);
  QCOMPARE(run->wallMs, 5'000);
  QCOMPARE(run->seconds, 1.75);
  // All times are binary fractions, so the sums are exact.
  const std::vector<PhaseSpan> expected{{api::Phase::Spawn, 0, 0, 0.25},
                                        {api::Phase::Weights, 0, 0.5, 1},
                                        {api::Phase::Weights, 1, 0.75, 0.5},
                                        {api::Phase::Api, 0, 1.5, 0.25}};
  QVERIFY(run->phases == expected);
}

void StartHistoryTest::aStartThatFailedOrGoesOnIsNoRun() {
  std::vector<api::PhaseEvent> events = eventsOfAStart();
  QVERIFY(!startRunOf({}));
  for (std::size_t count = 1; count < events.size(); ++count) {
    QVERIFY2(!startRunOf({events.begin(), events.begin() + static_cast<std::ptrdiff_t>(count)}),
             qPrintable(QString::number(count)));
  }
  events[6].kind = api::PhaseEventKind::Failed;
  QVERIFY(!startRunOf(events));
}

void StartHistoryTest::quantilesLieBetweenTheNearestValues_data() {
  QTest::addColumn<QList<double>>("values");
  QTest::addColumn<double>("share");
  QTest::addColumn<double>("expected");
  QTest::newRow("one value is every quantile") << QList<double>{3} << 0.9 << 3.0;
  QTest::newRow("odd count: the middle one") << QList<double>{9, 1, 4} << 0.5 << 4.0;
  QTest::newRow("even count: between the two") << QList<double>{4, 1, 2, 3} << 0.5 << 2.5;
  QTest::newRow("the tenth of eleven")
      << QList<double>{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0} << 0.9 << 9.0;
  QTest::newRow("smallest") << QList<double>{2, 8} << 0.0 << 2.0;
  QTest::newRow("largest") << QList<double>{2, 8} << 1.0 << 8.0;
}

void StartHistoryTest::quantilesLieBetweenTheNearestValues() {
  QFETCH(QList<double>, values);
  QFETCH(double, share);
  QFETCH(double, expected);
  // 0.9 * 10 and one interpolation: a few roundings of numbers up to 10.
  const double allowed = 10 * 4 * std::numeric_limits<double>::epsilon();
  const double got = quantile({values.begin(), values.end()}, share);
  QVERIFY2(std::abs(got - expected) <= allowed, qPrintable(QString::number(got, 'g', 17)));
}

void StartHistoryTest::usualIsTheMedianAndLateTheNinthOfTen() {
  std::vector<StartRun> runs;
  for (const int seconds : {5, 1, 2, 11, 3, 4, 6, 7, 8, 9, 10}) {
    runs.push_back(runOf(seconds));
  }
  const UsualStart usual = usualStartOf(runs);
  QCOMPARE(usual.count, 11);
  QCOMPARE(usual.seconds, 7.0);
  const std::optional<UsualPhase> weights = usual.find(api::Phase::Weights, 0);
  QVERIFY(weights);
  QCOMPARE(weights->begin, 0.5);
  QCOMPARE(weights->seconds, 6.0);
  QCOMPARE(weights->lateSeconds, 10.0);
  QCOMPARE(weights->count, 11);
  QVERIFY(!usual.find(api::Phase::Weights, 1));
}

void StartHistoryTest::aPhaseThatSomeStartsSkippedCountsThoseThatHadIt() {
  StartRun without = runOf(2);
  without.phases.clear();
  const UsualStart usual = usualStartOf({runOf(4), without});
  QCOMPARE(usual.count, 2);
  QCOMPARE(usual.find(api::Phase::Weights, 0)->count, 1);
  QCOMPARE(usual.find(api::Phase::Weights, 0)->seconds, 4.0);
}

void StartHistoryTest::startsAreComparedWithTheirOwnKindOnly() {
  const QTemporaryDir folder;
  StartHistory history(StartHistory::fileIn(folder.path()));
  StartKind one = kDemo;
  one.ranks = 1;
  QVERIFY(history.add(kDemo, runOf(2)));
  QVERIFY(history.add(one, runOf(8)));
  QCOMPARE(history.usual(kDemo).seconds, 3.0);
  QCOMPARE(history.usual(one).seconds, 9.0);
  QCOMPARE(history.usual({QStringLiteral("other"), 2, QStringLiteral("cpu")}).count, 0);
}

void StartHistoryTest::anOpenQuestionMeansTheKindOfTheNewestStart() {
  const QTemporaryDir folder;
  StartHistory history(StartHistory::fileIn(folder.path()));
  const StartKind cuda{kDemo.model, 2, QStringLiteral("cuda")};
  QVERIFY(history.add(kDemo, runOf(2)));
  QVERIFY(history.add(cuda, runOf(8)));
  QCOMPARE(history.usual({}).seconds, 9.0);
  QCOMPARE(history.usual({{}, 2, QStringLiteral("cpu")}).seconds, 3.0);
  QCOMPARE(history.usual({{}, 1, {}}).count, 0);
}

void StartHistoryTest::onlyTheNewestTwentyAreKept() {
  const QTemporaryDir folder;
  StartHistory history(StartHistory::fileIn(folder.path()));
  QVERIFY(history.add(kDemo, runOf(1000)));
  for (int i = 0; i < StartHistory::kKept; ++i) {
    QVERIFY(history.add(kDemo, runOf(1)));
  }
  const UsualStart usual = history.usual(kDemo);
  QCOMPARE(usual.count, 20);
  QCOMPARE(usual.find(api::Phase::Weights, 0)->lateSeconds, 1.0);
}

void StartHistoryTest::kindsThatWereNotSeenForLongAreForgotten() {
  const QTemporaryDir folder;
  StartHistory history(StartHistory::fileIn(folder.path()));
  for (int i = 0; i <= StartHistory::kKeptKinds; ++i) {
    QVERIFY(history.add({QString::number(i), 2, QStringLiteral("cpu")}, runOf(1)));
  }
  QCOMPARE(history.usual({QStringLiteral("0"), 0, {}}).count, 0);
  QCOMPARE(history.usual({QStringLiteral("1"), 0, {}}).count, 1);
}

void StartHistoryTest::anotherProgramReadsWhatWasAdded() {
  const QTemporaryDir folder;
  const QString file = StartHistory::fileIn(folder.filePath(QStringLiteral("new/folder")));
  const std::optional<StartRun> run = startRunOf(eventsOfAStart());
  StartHistory history(file);
  QVERIFY(history.add(kDemo, *run));
  const StartHistory other(file);
  QVERIFY(!other.warning());
  const UsualStart usual = other.usual(kDemo);
  QCOMPARE(usual.count, 1);
  QCOMPARE(usual.seconds, run->seconds);
  QCOMPARE(usual.phases.size(), run->phases.size());
  for (const PhaseSpan& span : run->phases) {
    const std::optional<UsualPhase> phase = usual.find(span.phase, span.rank);
    QVERIFY(phase);
    QCOMPARE(phase->begin, span.begin);
    QCOMPARE(phase->seconds, span.seconds);
  }
}

void StartHistoryTest::twoProgramsDoNotForgetEachOthersStarts() {
  const QTemporaryDir folder;
  StartHistory one(StartHistory::fileIn(folder.path()));
  StartHistory two(StartHistory::fileIn(folder.path()));
  QVERIFY(one.add(kDemo, runOf(1)));
  QVERIFY(two.add(kDemo, runOf(1)));
  QCOMPARE(StartHistory(StartHistory::fileIn(folder.path())).usual(kDemo).count, 2);
}

void StartHistoryTest::aDamagedFileIsSetAsideAndANewOneBegins_data() {
  QTest::addColumn<QByteArray>("text");
  QTest::newRow("empty") << QByteArray();
  QTest::newRow("cut off") << QByteArray(R"({"version":1,"starts":[{"mod)");
  QTest::newRow("of a newer version") << QByteArray(R"({"version":2,"starts":[]})");
  QTest::newRow("no list") << QByteArray(R"({"version":1,"starts":7})");
  QTest::newRow("negative seconds")
      << QByteArray(R"({"version":1,"starts":[{"model":"m","ranks":1,"seconds":-1}]})");
  QTest::newRow("unknown phase") << QByteArray(
      R"({"version":1,"starts":[{"model":"m","ranks":1,"seconds":1,)"
      R"("phases":[{"phase":"dance","rank":0,"begin":0,"seconds":1}]}]})");
}

void StartHistoryTest::aDamagedFileIsSetAsideAndANewOneBegins() {
  QFETCH(QByteArray, text);
  const QTemporaryDir folder;
  const QString name = StartHistory::fileIn(folder.path());
  for (const QString& expected :
       {name + QStringLiteral(".damaged"), name + QStringLiteral(".damaged-2")}) {
    QFile file(name);
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(text);
    file.close();
    StartHistory history(name);
    QVERIFY(history.warning());
    QVERIFY(QString::fromStdString(history.warning()->text()).contains(expected));
    QCOMPARE(history.usual({}).count, 0);
    QFile aside(expected);
    QVERIFY(aside.open(QIODevice::ReadOnly));
    QCOMPARE(aside.readAll(), text);
    QVERIFY(history.add(kDemo, runOf(1)));
    QCOMPARE(StartHistory(name).usual(kDemo).count, 1);
  }
}

void StartHistoryTest::aFolderThatCannotBeWrittenIsNamed() {
  const QTemporaryDir folder;
  // A file where the folder should be: for root, too, there is no way in.
  QFile file(folder.filePath(QStringLiteral("state")));
  QVERIFY(file.open(QIODevice::WriteOnly));
  StartHistory history(StartHistory::fileIn(file.fileName()));
  const Result<void> added = history.add(kDemo, runOf(1));
  QVERIFY(!added);
  QVERIFY(QString::fromStdString(added.error().text()).contains(file.fileName()));
  QCOMPARE(history.usual(kDemo).count, 1);
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::StartHistoryTest)
#include "start_history_test.moc"
