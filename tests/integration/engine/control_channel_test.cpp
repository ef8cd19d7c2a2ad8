// SPDX-License-Identifier: GPL-3.0-or-later
// The control socket and the log file of a real engine: watched, stopped, failed, out of disk.
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <QFile>
#include <QFileSystemWatcher>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "engine/protocol/control_message.h"
#include "engine/protocol/log_record_json.h"
#include "tests/support/checkpoints.h"
#include "tests/support/control_client.h"
#include "tests/support/engine_process.h"

using namespace tandem;
using namespace tandem::test;
using tandem::testing::ControlClient;

namespace {

constexpr protocol::Topics kAll{true, true, true, 0};

/// The socket's file appears in its folder; a connection is possible from then on.
bool waitForFile(const QString& file) {
  QFileSystemWatcher watcher(QStringList{QFileInfo(file).path()});
  QSignalSpy changed(&watcher, &QFileSystemWatcher::directoryChanged);
  while (!QFileInfo::exists(file)) {
    if (!changed.wait(kPatienceMs)) {
      return false;
    }
  }
  return true;
}

/// A log record, or nothing: kinds of events side by side in one connection.
template <typename Body>
const Body* bodyOf(const protocol::ControlMessage& message) {
  return std::get_if<Body>(&message.body);
}

std::vector<LogRecord> recordsOf(const QString& path) {
  std::vector<LogRecord> records;
  QFile file(path);
  if (!file.open(QIODevice::ReadOnly)) {
    return records;
  }
  while (!file.atEnd()) {
    const Result<LogRecord> record = protocol::parseLogLine(file.readLine().toStdString());
    if (!record) {
      qWarning("%s", record.error().message.c_str());
      return {};
    }
    records.push_back(*record);
  }
  return records;
}

}  // namespace

class ControlChannelTest final : public QObject {
  Q_OBJECT

  QString model_;
  std::unique_ptr<QTemporaryDir> folder_;
  QString socket_;

  [[nodiscard]] QStringList serve(const QStringList& more = {}) const {
    return QStringList{QStringLiteral("serve"),
                       QStringLiteral("--model"),
                       model_,
                       QStringLiteral("--ranks"),
                       QStringLiteral("2"),
                       QStringLiteral("--port"),
                       QStringLiteral("0"),
                       QStringLiteral("--control"),
                       socket_} +
           more;
  }

  /// The path is short: sun_path has room for 107 bytes.
  [[nodiscard]] std::string path() const { return socket_.toStdString(); }

 private slots:
  void initTestCase() { model_ = chatCheckpoint(); }

  void init() {
    if (model_.isEmpty()) {
      QSKIP("no chat checkpoint: neither resources/demo-model nor ../shared/oracle/tiny-trained");
    }
    folder_ = std::make_unique<QTemporaryDir>();
    socket_ = folder_->filePath(QStringLiteral("c.sock"));
  }

  void aClientSeesTheWholeStartOfBothRanksThenStatisticsThenTheEnd() {
    Engine engine(serve());
    QVERIFY2(waitForFile(socket_), qPrintable(engine.output()));
    ControlClient client(path());
    QVERIFY(client.subscribe(kAll));
    std::map<std::pair<int, api::Phase>, std::vector<api::PhaseEvent>> phases;
    std::vector<api::EngineStats> stats;
    std::vector<api::StateEvent> moves;
    std::uint64_t seq = 0;
    bool asked = false;
    bool stopping = false;
    while (const std::optional<protocol::ControlMessage> next = client.message()) {
      if (const auto* record = bodyOf<LogRecord>(*next)) {
        QCOMPARE(record->seq, seq + 1);
        seq = record->seq;
      } else if (const auto* phase = bodyOf<api::PhaseEvent>(*next)) {
        phases[{phase->rank, phase->phase}].push_back(*phase);
      } else if (const auto* snapshot = bodyOf<api::EngineStats>(*next)) {
        stats.push_back(*snapshot);
      } else if (const auto* move = bodyOf<api::StateEvent>(*next)) {
        moves.push_back(*move);
      } else if (bodyOf<protocol::Stopping>(*next) != nullptr) {
        stopping = true;
      }
      // Each rank tells its memory once a second; the snapshot before Ready knows no weights of
      // rank 0.
      const bool both = stats.size() >= 3 && stats.back().ranks.size() == 2 &&
                        stats.back().ranks[0].weightBytes > 0 &&
                        stats.back().ranks[1].weightBytes > 0;
      if (both && !moves.empty() && !asked) {
        asked = true;
        QVERIFY(client.send(protocol::ControlRequest{3, protocol::StopRequest{}}));
      }
    }
    QVERIFY(client.ended());
    QVERIFY(!QFileInfo::exists(socket_));
    QCOMPARE(engine.waitForExit(), kExitOk);

    for (int rank = 0; rank < 2; ++rank) {
      const auto& weights = phases[{rank, api::Phase::Weights}];
      QVERIFY(weights.size() >= 2);
      QVERIFY(weights.front().kind == api::PhaseEventKind::Begin);
      QVERIFY(weights.back().kind == api::PhaseEventKind::End);
      QVERIFY(weights.back().bytesTotal > 1000000);
      QCOMPARE(weights.back().bytesDone, weights.back().bytesTotal);
      QVERIFY(weights.back().monotonicNs > weights.front().monotonicNs);
      for (const api::Phase phase : {api::Phase::Connect, api::Phase::Validate, api::Phase::Mtp}) {
        const auto& events = phases[{rank, phase}];
        QVERIFY(!events.empty() && events.back().kind != api::PhaseEventKind::Failed);
      }
    }
    for (const api::Phase phase : {api::Phase::Kv, api::Phase::SelfTest, api::Phase::Api}) {
      QVERIFY((phases[{0, phase}].back().kind == api::PhaseEventKind::End));
    }
    // One snapshot a second, none left out; a move of the state repeats one. The engine's clock
    // counts, so that a slow machine changes nothing but the last second.
    std::set<double> uptimes;
    for (const api::EngineStats& snapshot : stats) {
      uptimes.insert(snapshot.uptimeSeconds);
    }
    const double seconds = *uptimes.rbegin() - *uptimes.begin();
    QVERIFY2(std::abs(seconds - static_cast<double>(uptimes.size() - 1)) < 1.5,
             qPrintable(QStringLiteral("%1 snapshots in %2 s").arg(uptimes.size()).arg(seconds)));
    for (int rank = 0; rank < 2; ++rank) {
      const api::RankMemory& memory = stats.back().ranks[static_cast<std::size_t>(rank)];
      QCOMPARE(memory.rank, rank);
      QVERIFY(memory.weightBytes > 1000000);
      QVERIFY(memory.processBytes > memory.weightBytes);
      QVERIFY(memory.hostTotalBytes >= memory.hostAvailableBytes && memory.hostAvailableBytes > 0);
    }
    QVERIFY(stopping);
    QCOMPARE(moves.size(), std::size_t{3});
    QVERIFY(moves[0].state == api::EngineState::Ready);
    QVERIFY(moves[0].endpoint.find("http://127.0.0.1:") == 0);
    QVERIFY(moves[1].state == api::EngineState::Draining);
    QVERIFY(moves[2].state == api::EngineState::Stopped);
  }

  void aClientThatComesLateIsToldTheStartAndTheLogItMissed() {
    Engine engine(serve());
    QVERIFY(engine.waitForPort() != 0);
    ControlClient client(path());
    QVERIFY(client.send(protocol::ControlRequest{1, protocol::HelloRequest{"late"}}));
    const auto hello = client.find<protocol::Hello>();
    QVERIFY(hello && hello->state == api::EngineState::Ready);
    QVERIFY(hello->endpoint.find("/v1") != std::string::npos);
    QCOMPARE(hello->info.ranks, 2);
    QVERIFY(hello->info.vocabSize > 0 && !hello->info.modelName.empty());
    QVERIFY(hello->lastLogSeq > 10);
    QVERIFY(client.send(protocol::ControlRequest{
        2,
        protocol::SubscribeRequest{{true, false, true, hello->lastLogSeq - 5}}}));
    const auto begun = client.find<api::PhaseEvent>();
    QVERIFY(begun && begun->phase == api::Phase::Connect &&
            begun->kind == api::PhaseEventKind::Begin);
    const auto ended = client.find<api::PhaseEvent>([](const api::PhaseEvent& event) {
      return event.phase == api::Phase::Api && event.kind == api::PhaseEventKind::End;
    });
    QVERIFY(ended.has_value());
    QCOMPARE(client.find<LogRecord>()->seq, hello->lastLogSeq - 4);
  }

  void aStopDuringTheStartCancelsIt() {
    // Rank 1 never comes, so the start would wait for a minute.
    const QString secret = folder_->filePath(QStringLiteral("secret"));
    QFile file(secret);
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(QByteArray(32, 's'));
    file.close();
    QVERIFY(file.setPermissions(QFileDevice::ReadOwner | QFileDevice::WriteOwner));
    Engine engine(serve({QStringLiteral("--peer"),
                         QStringLiteral("127.0.0.1:0"),
                         QStringLiteral("--peer-secret"),
                         secret}));
    QVERIFY2(waitForFile(socket_), qPrintable(engine.output()));
    ControlClient client(path());
    QVERIFY(client.subscribe({true, false, false, 0}));
    const auto waiting = client.find<api::PhaseEvent>(
        [](const api::PhaseEvent& event) { return event.phase == api::Phase::Connect; });
    QVERIFY2(waiting, qPrintable(engine.output()));
    QVERIFY(client.send(protocol::ControlRequest{3, protocol::StopRequest{}}));
    QVERIFY(client.find<protocol::Stopping>().has_value());
    QVERIFY(client.find<api::StateEvent>()->state == api::EngineState::Stopped);
    QVERIFY(client.readToEnd());
    QCOMPARE(engine.waitForExit(), kExitOk);
    QVERIFY(!QFileInfo::exists(socket_));
  }

  void aKilledWorkerIsAFailureWithItsText() {
    Engine engine(serve());
    QVERIFY(engine.waitForPort() != 0);
    ControlClient client(path());
    QVERIFY(client.subscribe({}));
    ::kill(static_cast<pid_t>(engine.workerPid()), SIGKILL);
    const auto failed = client.find<api::StateEvent>();
    QVERIFY(failed && failed->state == api::EngineState::Failed);
    QVERIFY(failed->error && !failed->error->message.empty());
    QVERIFY2(failed->error->message.find("rank 1") != std::string::npos,
             failed->error->message.c_str());
    QVERIFY(client.readToEnd());
    QCOMPARE(engine.waitForExit(), kExitFatal);
  }

  void aFailedStartIsToldWithItsPhase() {
    Engine engine({QStringLiteral("serve"),
                   QStringLiteral("--model"),
                   QStringLiteral("/nowhere"),
                   QStringLiteral("--control"),
                   socket_});
    // It is over too soon to watch; that it says why and leaves nothing behind is what counts.
    QCOMPARE(engine.waitForExit(), kExitFatal);
    QVERIFY2(engine.output().contains(QStringLiteral("/nowhere")), qPrintable(engine.output()));
    QVERIFY(!QFileInfo::exists(socket_));
  }

  void aSecondStopDoesNotWaitForOpenAnswers() {
    Engine engine(serve());
    const quint16 port = engine.waitForPort();
    QVERIFY(port != 0);
    HttpRequest chat(port,
                     "POST",
                     "/v1/chat/completions",
                     chatBody(QStringLiteral("Count to ten thousand."), true, 16000));
    QVERIFY(chat.waitForText("data: "));
    ControlClient client(path());
    QVERIFY(client.subscribe({}));
    QVERIFY(client.send(protocol::ControlRequest{3, protocol::StopRequest{3600}}));
    QVERIFY(client.find<api::StateEvent>()->state == api::EngineState::Draining);
    QVERIFY(client.send(protocol::ControlRequest{4, protocol::StopRequest{3600}}));
    QVERIFY(client.find<api::StateEvent>()->state == api::EngineState::Stopped);
    QCOMPARE(engine.waitForExit(), kExitOk);
  }

  void aSecondEngineOnTheSameSocketIsRefusedWithThePidOfTheFirst() {
    Engine first(serve());
    QVERIFY(first.waitForPort() != 0);
    Engine second(serve());
    QCOMPARE(second.waitForExit(), kExitFatal);
    ControlClient client(path());
    QVERIFY(client.send(protocol::ControlRequest{1, protocol::HelloRequest{"test"}}));
    const auto hello = client.find<protocol::Hello>();
    QVERIFY(hello.has_value());
    QVERIFY2(second.output().contains(
                 QStringLiteral("an engine with pid %1 listens on").arg(hello->pid)),
             qPrintable(second.output()));
  }

  void aKilledEngineLeavesASocketThatTheNextOneReplaces() {
    {
      Engine engine(serve());
      QVERIFY(engine.waitForPort() != 0);
      engine.send(SIGKILL);
      engine.waitForExit();
    }
    QVERIFY(QFileInfo::exists(socket_));
    Engine engine(serve());
    QVERIFY2(engine.waitForPort() != 0, qPrintable(engine.output()));
    QVERIFY(ControlClient(path()).connected());
  }

  void theLogFileHoldsTheRecordsOfBothRanks() {
    const QString logs = folder_->filePath(QStringLiteral("log"));
    Engine engine(serve({QStringLiteral("--log-folder"), logs}));
    QVERIFY(engine.waitForPort() != 0);
    engine.send(SIGTERM);
    QCOMPARE(engine.waitForExit(), kExitOk);
    const std::vector<LogRecord> records = recordsOf(logs + QStringLiteral("/engine-0.jsonl"));
    QVERIFY(records.size() > 10);
    for (std::size_t i = 0; i < records.size(); ++i) {
      QCOMPARE(records[i].seq, i + 1);
    }
    QCOMPARE(records.back().text, std::string("stopped"));
  }

  void aFullDiskUnderTheLogDoesNotKeepTheAnswerBack_data() {
    QTest::addColumn<bool>("fullDisk");
    QTest::newRow("a disk without room") << true;
    QTest::newRow("a limit of file size") << false;
  }
  void aFullDiskUnderTheLogDoesNotKeepTheAnswerBack() {
    QFETCH(bool, fullDisk);
    const QString disk = folder_->filePath(QStringLiteral("disk"));
    QVERIFY(QDir().mkdir(disk));
    const QString filler = disk + QStringLiteral("/filler");
    if (fullDisk) {
      if (::mount("none", disk.toLocal8Bit().constData(), "tmpfs", 0, "size=64k") != 0) {
        QSKIP(qPrintable(QStringLiteral("no small disk can be mounted here: %1")
                             .arg(QString::fromLocal8Bit(std::strerror(errno)))));
      }
      QFile file(filler);
      QVERIFY(file.open(QIODevice::WriteOnly | QIODevice::Unbuffered));
      while (file.write(QByteArray(4096, 'f')) > 0) {
      }
    }
    const auto unmount = qScopeGuard([&] {
      if (fullDisk) {
        ::umount2(disk.toLocal8Bit().constData(), MNT_DETACH);
      }
    });
    Engine engine(serve({QStringLiteral("--log-folder"), disk + QStringLiteral("/log")}), [=] {
      if (!fullDisk) {
        rlimit limit{};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = 200;
        ::setrlimit(RLIMIT_FSIZE, &limit);
      }
    });
    const quint16 port = engine.waitForPort();
    QVERIFY2(port != 0, qPrintable(engine.output()));
    HttpRequest chat(port,
                     "POST",
                     "/v1/chat/completions",
                     chatBody(QStringLiteral("Hello"), false, 8));
    QVERIFY(chat.waitForAll().contains("\"finish_reason\""));
    const QString reason =
        fullDisk ? QStringLiteral("No space left on device") : QStringLiteral("File too large");
    QVERIFY2(engine.waitFor(QStringLiteral("warning log: the log file (.*engine-0.jsonl) cannot be "
                                           "\\w+: %1; it is paused")
                                .arg(reason)) != QString(),
             qPrintable(engine.output()));

    // It goes on by itself once there is room, and says what is missing.
    if (fullDisk) {
      QVERIFY(QFile::remove(filler));
    } else {
      rlimit limit{};
      ControlClient client(path());
      QVERIFY(client.send(protocol::ControlRequest{1, protocol::HelloRequest{"test"}}));
      const auto pid = static_cast<pid_t>(client.find<protocol::Hello>()->pid);
      QCOMPARE(::prlimit(pid, RLIMIT_FSIZE, nullptr, &limit), 0);
      limit.rlim_cur = limit.rlim_max;
      QCOMPARE(::prlimit(pid, RLIMIT_FSIZE, &limit, nullptr), 0);
    }
    HttpRequest another(port,
                        "POST",
                        "/v1/chat/completions",
                        chatBody(QStringLiteral("Hello"), false, 8));
    QVERIFY(another.waitForAll().contains("\"finish_reason\""));
    QVERIFY2(engine.waitFor(QStringLiteral("goes on; (\\d+) records are missing in it")) ==
                 QStringLiteral("0"),
             qPrintable(engine.output()));
    QCOMPARE(engine.output().count(QStringLiteral("it is paused")), 1);
    engine.send(SIGTERM);
    QCOMPARE(engine.waitForExit(), kExitOk);
    const std::vector<LogRecord> records = recordsOf(disk + QStringLiteral("/log/engine-0.jsonl"));
    QVERIFY(!records.empty());
    for (std::size_t i = 0; i < records.size(); ++i) {
      QCOMPARE(records[i].seq, i + 1);
    }
    QCOMPARE(records.back().text, std::string("stopped"));
  }

  void aLogFolderThatCannotBeIsRefusedWithItsName() {
    Engine engine(serve({QStringLiteral("--log-folder"), QStringLiteral("/nowhere/at/all")}));
    QCOMPARE(engine.waitForExit(), kExitFatal);
    QVERIFY2(engine.output().contains(QStringLiteral("/nowhere/at/all/engine-0.jsonl")),
             qPrintable(engine.output()));
  }
};

QTEST_GUILESS_MAIN(ControlChannelTest)
#include "control_channel_test.moc"
