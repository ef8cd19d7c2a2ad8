// SPDX-License-Identifier: GPL-3.0-or-later
// When the engine gives way to its nodes: on figures read from a meminfo that the tests write.
#include "engine/runtime/memory_guard.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <QDir>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/base/byte_size.h"
#include "engine/runtime/memory_board.h"
#include "engine/runtime/memory_probe.h"

using namespace tandem;
using namespace tandem::runtime;
using namespace std::chrono_literals;
using State = MemoryGuard::State;

namespace {

constexpr double kSpark = 121.7;  // GiB that the kernel of a Spark counts

std::uint64_t gib(double value) {
  return static_cast<std::uint64_t>(value * static_cast<double>(kGiB));
}

char letterOf(State state) {
  switch (state) {
    case State::Normal:
      return 'N';
    case State::Holding:
      return 'H';
    case State::Shrinking:
      return 'S';
    case State::Ending:
      return 'E';
  }
  return '?';
}

/// A folder that stands for a node's /proc.
class FakeProc {
 public:
  void write(const std::string& meminfo) const {
    remove();  // ext4 waits for the disk when a file is overwritten, but not for a new one
    QFile file(folder_.filePath(QStringLiteral("meminfo")));
    if (!file.open(QIODevice::WriteOnly)) {
      qFatal("no fake meminfo");
    }
    file.write(QByteArray::fromStdString(meminfo));
  }
  void write(double totalGiB, double availableGiB) const {
    write(
        fmt::format("MemTotal:       {} kB\nMemFree:        12 kB\nMemAvailable:   {} kB\n"
                    "HugePages_Total:       0\nSwapTotal:      0 kB\n",
                    gib(totalGiB) / kKiB,
                    gib(availableGiB) / kKiB));
  }
  void remove() const { QFile::remove(folder_.filePath(QStringLiteral("meminfo"))); }
  [[nodiscard]] api::RankMemory read(int rank) const {
    api::RankMemory memory;
    memory.rank = rank;
    readMemory(memory, folder_.path().toStdString());
    return memory;
  }

 private:
  QTemporaryDir folder_;
};

/// Nodes whose memory is what a test says, their reports, and the guard that gets them.
class Cluster {
 public:
  explicit Cluster(int ranks, const api::MemoryGuardConfig& config = {}, double totalGiB = kSpark)
      : nodes(static_cast<std::size_t>(ranks)),
        board(ranks),
        guard(config),
        total(totalGiB) {}

  void report(int rank, double availableGiB) {
    const FakeProc& node = nodes[static_cast<std::size_t>(rank)];
    node.write(total, availableGiB);
    board.update(node.read(rank), now);
  }
  void reportUnreadable(int rank) {
    const FakeProc& node = nodes[static_cast<std::size_t>(rank)];
    node.remove();
    board.update(node.read(rank), now);
  }
  MemoryGuard::Decision assess() { return guard.assess(board.figures(), now); }

  /// One report of every rank, a decision, and a second passes.
  MemoryGuard::Decision second(const std::vector<double>& availableGiB) {
    for (std::size_t rank = 0; rank < availableGiB.size(); ++rank) {
      report(static_cast<int>(rank), availableGiB[rank]);
    }
    MemoryGuard::Decision decision = assess();
    now += 1s;
    return decision;
  }

  std::vector<FakeProc> nodes;
  MemoryBoard board;
  MemoryGuard guard;
  const double total;
  MonotonicTime now{1000s};
};

bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) {
    return true;
  }
  qWarning("\"%s\" is not in \"%s\"", part.c_str(), text.c_str());
  return false;
}

}  // namespace

class MemoryGuardTest final : public QObject {
  Q_OBJECT

 private slots:
  void statesFollowTheFigures_data() {
    QTest::addColumn<double>("total");
    QTest::addColumn<QList<double>>("available");  // GiB, one a second
    QTest::addColumn<QString>("states");           // one letter each
    using Figures = QList<double>;
    // A Spark: floor 4, shrink 6, hold 8, release 9.
    QTest::newRow("plenty") << kSpark << Figures{40, 30, 20, 10} << "NNNN";
    QTest::newRow("a little more than the hold line") << kSpark << Figures{8.1, 8.1, 8.1} << "NNN";
    QTest::newRow("below the hold line") << kSpark << Figures{20, 7.9, 7.9} << "NHH";
    QTest::newRow("around the hold line it does not flap")
        << kSpark << Figures{7.9, 8.1, 7.9, 8.1, 7.9, 8.1, 8.9} << "HHHHHHH";
    QTest::newRow("requests go on after five good seconds")
        << kSpark << Figures{7.9, 8.9, 9.1, 9.1, 9.1, 9.1, 9.1, 9.1} << "HHHHHHHN";
    QTest::newRow("a dip begins the five seconds anew")
        << kSpark << Figures{7.9, 9.1, 9.1, 9.1, 9.1, 8.9, 9.1, 9.1, 9.1, 9.1, 9.1, 9.1}
        << "HHHHHHHHHHHN";
    QTest::newRow("the cache gives way when holding did not help for ten seconds")
        << kSpark << Figures{7.5, 7.5, 7.5, 7.5, 7.5, 8.5, 8.5, 8.5, 8.5, 8.5, 8.5}
        << "HHHHHHHHHHS";
    QTest::newRow("below the shrink line") << kSpark << Figures{20, 5.9} << "NS";
    QTest::newRow("shrinking lasts until all is well")
        << kSpark << Figures{5.9, 7, 8.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5} << "SSSSSSSSN";
    QTest::newRow("below the floor for a moment") << kSpark << Figures{20, 3.9, 4.5, 5} << "NSSS";
    QTest::newRow("below the floor although the cache shrank")
        << kSpark << Figures{20, 3.9, 3.9, 3.9} << "NSSE";
    QTest::newRow("at the floor, now below, now above")
        << kSpark << Figures{3.9, 3.9, 4.1, 3.9, 3.9, 4.1} << "SSSSSS";
    QTest::newRow("below half of the floor at once") << kSpark << Figures{20, 1.9} << "NE";
    QTest::newRow("an end is final") << kSpark << Figures{1.9, 50, 50} << "EEE";
    QTest::newRow("nothing left") << kSpark << Figures{20, 0} << "NE";
    // A machine of 8 GiB: floor 0.4, shrink 0.6, hold 0.8, release 0.9.
    QTest::newRow("a small machine with a gigabyte left") << 8.0 << Figures{1, 0.85} << "NN";
    QTest::newRow("a small machine that runs out")
        << 8.0 << Figures{0.75, 0.55, 0.39, 0.39, 0.39} << "HSSSE";
    // One of 24 GiB: floor 1.2, shrink 1.8, hold 2.4.
    QTest::newRow("a machine of 24 GiB") << 24.0 << Figures{2.5, 2.3, 1.7, 0.5} << "NHSE";
  }

  void statesFollowTheFigures() {
    QFETCH(double, total);
    QFETCH(QList<double>, available);
    QFETCH(QString, states);
    Cluster cluster(1, {}, total);
    QString seen;
    for (const double figure : available) {
      seen += QLatin1Char(letterOf(cluster.second({figure}).state));
    }
    QCOMPARE(seen, states);
  }

  void theLinesFollowFromTheNodeUnlessTheyAreConfigured_data() {
    QTest::addColumn<double>("total");
    QTest::addColumn<double>("floor");  // configured; 0: not
    QTest::addColumn<double>("hold");
    QTest::addColumn<QList<double>>("lines");  // floor, shrink, hold, release
    using Lines = QList<double>;
    QTest::newRow("a Spark") << kSpark << 0.0 << 0.0 << Lines{4, 6, 8, 9};
    QTest::newRow("half a terabyte") << 512.0 << 0.0 << 0.0 << Lines{4, 6, 8, 9};
    QTest::newRow("80 GiB, where the share is the amount")
        << 80.0 << 0.0 << 0.0 << Lines{4, 6, 8, 9};
    QTest::newRow("16 GiB") << 16.0 << 0.0 << 0.0 << Lines{0.8, 1.2, 1.6, 1.8};
    QTest::newRow("a floor of 10") << kSpark << 10.0 << 0.0 << Lines{10, 15, 20, 22.5};
    QTest::newRow("a hold line of 16") << kSpark << 0.0 << 16.0 << Lines{4, 10, 16, 18};
    QTest::newRow("a hold line below the floor there would be")
        << kSpark << 0.0 << 2.0 << Lines{1, 1.5, 2, 2.25};
    QTest::newRow("both") << 8.0 << 1.0 << 4.0 << Lines{1, 2.5, 4, 4.5};
  }

  void theLinesFollowFromTheNodeUnlessTheyAreConfigured() {
    QFETCH(double, total);
    QFETCH(double, floor);
    QFETCH(double, hold);
    QFETCH(QList<double>, lines);
    const MemoryGuard::Thresholds found =
        MemoryGuard::thresholdsOf({true, gib(floor), gib(hold)}, gib(total));
    const std::vector<std::uint64_t> values{found.floor, found.shrink, found.hold, found.release};
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double difference = static_cast<double>(values[i]) / static_cast<double>(kGiB) -
                                lines[static_cast<qsizetype>(i)];
      QVERIFY2(std::abs(difference) < 1e-6, std::to_string(i).c_str());
    }
  }

  void aHoldLineThatIsNotAboveTheFloorIsRefused() {
    QVERIFY(checkMemoryGuard({}).ok());
    QVERIFY(checkMemoryGuard({true, gib(4), gib(4.5)}).ok());
    QVERIFY(checkMemoryGuard({true, gib(4), 0}).ok());
    const Result<void> refused = checkMemoryGuard({true, gib(4.5), gib(4)});
    QVERIFY(!refused.ok());
    QVERIFY(refused.error().code == ErrorCode::InvalidArgument);
    QVERIFY(contains(refused.error().message, "4.5 GiB"));
    QVERIFY(contains(refused.error().message, "4.0 GiB"));
    QVERIFY(!checkMemoryGuard({true, gib(4), gib(4)}).ok());
  }

  void theEndNamesTheNodeWhatIsLeftTheFloorAndARemedy() {
    Cluster cluster(2);
    (void)cluster.second({30, 9.5});
    const MemoryGuard::Decision end = cluster.second({30, 1.5});
    QCOMPARE(end.state, State::Ending);
    QCOMPARE(end.sentence,
             std::string("the engine stopped to keep the worker node alive: it has 1.5 GiB of "
                         "memory left, falling by 8.0 GiB a second; the floor is 4.0 GiB"));
    QVERIFY(contains(end.remedy, "Close other programs on that node"));
    QVERIFY(contains(end.remedy, "--memory-floor"));
    QCOMPARE(end.shrinkByBytes, 0U);
    // Said again, not computed again.
    QCOMPARE(cluster.second({30, 30}).sentence, end.sentence);
  }

  void aNodeThatIsLowIsNamedWithWhatItWaitsFor() {
    Cluster cluster(2);
    (void)cluster.second({7.5, 30});
    const MemoryGuard::Decision decision = cluster.second({7.5, 30});
    QCOMPARE(decision.state, State::Holding);
    QCOMPARE(decision.sentence,
             std::string("the head node has 7.5 GiB of memory left: new requests wait until it has "
                         "9.0 GiB"));
    QCOMPARE(decision.remedy, std::string("Close other programs on that node."));
    QCOMPARE(decision.shrinkByBytes, 0U);
  }

  void theWorseOfTwoNodesDecides() {
    Cluster cluster(2);
    QCOMPARE(cluster.second({30, 30}).state, State::Normal);
    QCOMPARE(cluster.second({30, 7}).state, State::Holding);
    const MemoryGuard::Decision shrinking = cluster.second({5, 7});
    QCOMPARE(shrinking.state, State::Shrinking);
    QVERIFY(contains(shrinking.sentence, "the head node has 5.0 GiB"));
    const MemoryGuard::Decision both = cluster.second({5, 4.5});
    QCOMPARE(both.state, State::Shrinking);
    QVERIFY(contains(both.sentence, "the worker node has 4.5 GiB"));
  }

  void oneNodeIsWellAgainAndTheOtherIsNot() {
    Cluster cluster(2);
    (void)cluster.second({7, 7});
    QCOMPARE(cluster.second({30, 7}).state, State::Holding);
    for (int i = 0; i < 6; ++i) {
      QCOMPARE(cluster.second({30, 7.5}).state, State::Holding);
    }
    for (int i = 0; i < 5; ++i) {
      QVERIFY(cluster.second({30, 30}).state != State::Normal);
    }
    QCOMPARE(cluster.second({30, 30}).state, State::Normal);
  }

  void theCacheIsAskedForWhatTheWorseNodeMissesAndNotAtOnceAgain() {
    Cluster cluster(2);
    const auto missing = [&](double head, double worker) {
      return formatBytes(cluster.second({head, worker}).shrinkByBytes);
    };
    QCOMPARE(missing(5.5, 30), std::string("3.5 GiB"));
    QCOMPARE(missing(5.5, 5), std::string("0 B"));
    QCOMPARE(missing(5.5, 5), std::string("0 B"));
    QCOMPARE(missing(5.5, 5), std::string("4.0 GiB"));
    QCOMPARE(missing(9.5, 9.5), std::string("0 B"));
    QCOMPARE(missing(9.5, 9.5), std::string("0 B"));
    // Still shrinking, but there is nothing missing.
    const MemoryGuard::Decision settled = cluster.second({9.5, 9.5});
    QCOMPARE(settled.state, State::Shrinking);
    QCOMPARE(settled.shrinkByBytes, 0U);
  }

  void aHostWhoseMemoryCannotBeReadIsNotGuardedAndSaysSo_data() {
    QTest::addColumn<QString>("meminfo");  // nothing: no such file
    QTest::newRow("no file") << QString();
    QTest::newRow("another format") << "total 123\navailable 7\n";
    QTest::newRow("a kernel without MemAvailable") << "MemTotal: 8000000 kB\nMemFree: 12 kB\n";
    QTest::newRow("no total") << "MemAvailable: 12 kB\n";
  }

  void aHostWhoseMemoryCannotBeReadIsNotGuardedAndSaysSo() {
    QFETCH(QString, meminfo);
    Cluster cluster(2);
    for (int i = 0; i < 60; ++i) {
      cluster.report(0, 50);
      if (!meminfo.isEmpty()) {
        cluster.nodes[1].write(meminfo.toStdString());
      }
      cluster.board.update(cluster.nodes[1].read(1), cluster.now);
      const MemoryGuard::Decision decision = cluster.assess();
      QCOMPARE(decision.state, State::Normal);
      QCOMPARE(decision.sentence,
               std::string("the memory of the worker node cannot be read: it is not guarded"));
      cluster.now += 1s;
    }
    // The other one is.
    cluster.report(0, 1);
    cluster.reportUnreadable(1);
    QCOMPARE(cluster.assess().state, State::Ending);
  }

  void aHostThatCannotBeReadForAWhileStaysAsItWasAndNeverEndsTheEngine() {
    Cluster cluster(1);
    QCOMPARE(cluster.second({3.9}).state, State::Shrinking);
    for (int i = 0; i < 60; ++i) {
      cluster.reportUnreadable(0);
      const MemoryGuard::Decision decision = cluster.assess();
      QCOMPARE(decision.state, State::Shrinking);
      QCOMPARE(decision.shrinkByBytes, 0U);
      QVERIFY(contains(decision.sentence, "cannot be read: new requests wait, for it had 3.9 GiB"));
      cluster.now += 1s;
    }
    // Nor when it falls silent after that.
    for (int i = 0; i < 60; ++i) {
      QCOMPARE(cluster.second({}).state, State::Shrinking);
    }
    for (int i = 0; i < 5; ++i) {
      QCOMPARE(cluster.second({12}).state, State::Shrinking);
    }
    QCOMPARE(cluster.second({12}).state, State::Normal);
  }

  void aRankThatHasNotSpokenYetIsStillStarting() {
    Cluster cluster(2);
    for (int i = 0; i < 300; ++i) {
      const MemoryGuard::Decision decision = cluster.second({50});
      QCOMPARE(decision.state, State::Normal);
      QCOMPARE(decision.sentence, std::string());
    }
  }

  void aRankThatFallsSilentHoldsRequestsUntilItSpeaks() {
    Cluster cluster(2);
    (void)cluster.second({50, 50});
    for (int i = 1; i < 5; ++i) {
      QCOMPARE(cluster.second({50}).state, State::Normal);
    }
    const MemoryGuard::Decision silent = cluster.second({50});
    QCOMPARE(silent.state, State::Holding);
    QCOMPARE(silent.sentence,
             std::string("the worker node has not told its memory for 5 s: new requests wait"));
    QVERIFY(contains(silent.remedy, "still answers"));
    for (int i = 0; i < 100; ++i) {
      QCOMPARE(cluster.second({50}).state, State::Holding);
    }
    QCOMPARE(cluster.second({50, 50}).state, State::Normal);
  }

  void aRankThatFallsSilentWithLittleLeftEndsTheEngine() {
    Cluster cluster(2);
    QCOMPARE(cluster.second({50, 5.2}).state, State::Shrinking);
    for (int i = 1; i < 15; ++i) {
      const MemoryGuard::Decision decision = cluster.second({50});
      QCOMPARE(decision.state, State::Shrinking);
      // What it misses is not known any more.
      QVERIFY(i < 5 || decision.shrinkByBytes == 0);
    }
    const MemoryGuard::Decision end = cluster.second({50});
    QCOMPARE(end.state, State::Ending);
    QCOMPARE(end.sentence,
             std::string("the engine stopped: the worker node fell silent 15 s ago with 5.2 GiB of "
                         "memory left; the floor is 4.0 GiB"));
    QVERIFY(contains(end.remedy, "power button"));
  }

  void anOldFigureBelowTheFloorIsNoSecondOne() {
    Cluster cluster(1);
    cluster.report(0, 3.9);
    for (int i = 0; i < 40; ++i) {
      QCOMPARE(cluster.assess().state, State::Shrinking);
      cluster.now += 100ms;
    }
    cluster.report(0, 3.9);
    QCOMPARE(cluster.assess().state, State::Ending);
  }

  void anEngineThatWasStoppedItselfDoesNotTakeTheOthersForSilent() {
    Cluster cluster(2);
    (void)cluster.second({50, 5.2});
    cluster.now += 600s;
    QCOMPARE(cluster.second({50}).state, State::Shrinking);
    QCOMPARE(cluster.second({50, 20}).state, State::Shrinking);
    for (int i = 0; i < 4; ++i) {
      QCOMPARE(cluster.second({50, 20}).state, State::Shrinking);
    }
    QCOMPARE(cluster.second({50, 20}).state, State::Normal);
  }

  void aGuardThatIsOffSaysNothing() {
    Cluster cluster(1, {false, 0, 0});
    for (int i = 0; i < 5; ++i) {
      const MemoryGuard::Decision decision = cluster.second({0.1});
      QCOMPARE(decision.state, State::Normal);
      QCOMPARE(decision.sentence, std::string());
    }
  }

  void configuredLinesHoldOnEveryNode() {
    Cluster cluster(2, {true, gib(10), gib(30)});
    QCOMPARE(cluster.second({29, 40}).state, State::Holding);
    QCOMPARE(cluster.second({29, 19}).state, State::Shrinking);
    QCOMPARE(cluster.second({29, 4.9}).state, State::Ending);
  }

  void aHostThatHasNothingLeftIsNoHostThatCannotBeRead() {
    const FakeProc proc;
    proc.write("MemTotal:  127000000 kB\nMemFree:  0 kB\nMemAvailable:  0 kB\n");
    const api::RankMemory memory = proc.read(0);
    QCOMPARE(memory.hostTotalBytes, 127000000 * kKiB);
    QCOMPARE(memory.hostAvailableBytes, kKiB);
  }

  void theBoardKnowsWhenARankSpoke() {
    MemoryBoard board(2);
    QVERIFY(!board.figures()[1].arrived);
    QCOMPARE(board.figures()[1].memory.rank, 1);
    api::RankMemory memory;
    memory.rank = 1;
    memory.hostTotalBytes = 7;
    board.update(memory, MonotonicTime(5s));
    QVERIFY(board.figures()[1].arrived == MonotonicTime(5s));
    QCOMPARE(board.read()[1].hostTotalBytes, 7U);
    memory.rank = 2;
    board.update(memory, MonotonicTime(5s));
    QCOMPARE(board.figures().size(), std::size_t{2});
    QVERIFY(!board.figures()[0].arrived);
  }
};

QTEST_APPLESS_MAIN(MemoryGuardTest)
#include "memory_guard_test.moc"
