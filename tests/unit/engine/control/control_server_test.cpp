// SPDX-License-Identifier: GPL-3.0-or-later
// The control server: a recorded conversation, and clients that come late, many, slow or wrong.
#include "engine/control/control_server.h"

#include <sys/stat.h>

#include <fstream>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

#include "engine/control/event_history.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/control_client.h"
#include "tests/support/fake_engine.h"

using namespace tandem;
using namespace tandem::control;
using tandem::testing::ControlClient;

namespace {

constexpr protocol::Topics kLog{false, false, true, 0};

api::PhaseEvent phaseEvent(api::Phase phase,
                           int rank,
                           api::PhaseEventKind kind,
                           std::uint64_t bytes = 0) {
  api::PhaseEvent event;
  event.phase = phase;
  event.rank = rank;
  event.kind = kind;
  event.bytesDone = bytes;
  return event;
}

/// What differs from run to run, made equal.
std::string normalised(const std::string& line) {
  QString text = QString::fromStdString(line);
  static const QRegularExpression kPid(QStringLiteral("\"pid\":\\d+"));
  static const QRegularExpression kWho(QStringLiteral("\\(pid \\d+, uid \\d+\\)"));
  text.replace(kPid, QStringLiteral("\"pid\":0"));
  text.replace(kWho, QStringLiteral("(pid 0, uid 0)"));
  if (text.contains(QStringLiteral("\"type\":\"log\""))) {
    static const QRegularExpression kTime(QStringLiteral("\"t\":\"[^\"]*\""));
    text.replace(kTime, QStringLiteral("\"t\":\"\""));
  }
  return text.toStdString();
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

class ControlServerTest final : public QObject {
  Q_OBJECT

  struct Stop {
    std::string who;
    std::optional<double> drainSeconds;
  };

  QTemporaryDir folder_;
  std::string path_;
  tokenizer::Tokenizer tokenizer_ = testing::makeByteTokenizer();
  Mutex mutex_;
  std::vector<Stop> stops_ TANDEM_GUARDED_BY(mutex_);

  /// Statistics only on request, unless a test says otherwise; patience for slow machines.
  ControlOptions options() const {
    ControlOptions options;
    options.socket = path_;
    options.identity = {"0.1.0", 0, 1795440225120};
    options.statsPoll = std::chrono::hours(1);
    options.patience = std::chrono::minutes(1);
    return options;
  }

  std::unique_ptr<ControlServer> serve(Logger& logger, ControlOptions options) {
    Result<std::unique_ptr<ControlServer>> server =
        ControlServer::create(std::move(options),
                              logger,
                              [this](const std::string& who, std::optional<double> drainSeconds) {
                                const MutexLock lock(mutex_);
                                stops_.push_back({who, drainSeconds});
                              });
    return server ? *std::move(server) : nullptr;
  }
  std::unique_ptr<ControlServer> serve(Logger& logger) { return serve(logger, options()); }

  std::vector<Stop> stops() {
    const MutexLock lock(mutex_);
    return stops_;
  }

 private slots:
  void init() {
    path_ = folder_.filePath(QStringLiteral("c.sock")).toStdString();
    const MutexLock lock(mutex_);
    stops_.clear();
  }

  /// The transcript's lines: "> " is sent, "< " must come, "! " happens in the engine.
  void theRecordedConversationIsRepeatedToTheLetter() {
    Logger logger(0);
    testing::FakeEngine engine(tokenizer_, [](const std::string&) { return testing::FakeReply{}; });
    engine.setState(api::EngineState::Starting);
    const auto server = serve(logger);
    QVERIFY(server != nullptr);
    const EngineWatch watch(*server, engine);
    ControlClient client(path_);
    std::ifstream file(TANDEM_SOURCE_DIR "/tests/golden/control/transcript.jsonl");
    std::string line;
    int number = 0;
    while (std::getline(file, line)) {
      ++number;
      const std::string text = line.size() > 2 ? line.substr(2) : std::string();
      if (line[0] == '>') {
        QVERIFY(client.send(text + "\n"));
      } else if (line[0] == '<') {
        const std::optional<std::string> received = client.line();
        QVERIFY2(received, qPrintable(QStringLiteral("line %1: nothing came").arg(number)));
        QCOMPARE(QString::fromStdString(normalised(*received)),
                 QString::fromStdString(normalised(text)));
      } else if (line[0] == '!') {
        const auto event = protocol::decodeMessage(text);
        QVERIFY2(event && *event, qPrintable(QStringLiteral("line %1").arg(number)));
        if (const auto* phase = std::get_if<api::PhaseEvent>(&(*event)->body)) {
          server->phase(*phase);
        } else if (const auto* move = std::get_if<api::StateEvent>(&(*event)->body)) {
          engine.setState(move->state);
          server->state(*move);
        } else {
          const auto& record = std::get<LogRecord>((*event)->body);
          logger.write(record.level, record.module, record.request, record.text);
        }
      }
    }
    QVERIFY(number > 30);
    QCOMPARE(stops().size(), std::size_t{1});
    QCOMPARE(stops()[0].drainSeconds.value(), 2.5);
    QVERIFY(stops()[0].who.find("transcript 1 (pid") == 0);
  }

  void historyKeepsTheNewestProgressOfEachPhaseAndRank() {
    using Kind = api::PhaseEventKind;
    EventHistory history;
    history.add(phaseEvent(api::Phase::Weights, 0, Kind::Begin));
    history.add(phaseEvent(api::Phase::Weights, 1, Kind::Begin));
    for (std::uint64_t bytes = 1; bytes <= 100; ++bytes) {
      history.add(phaseEvent(api::Phase::Weights, 0, Kind::Progress, bytes));
      history.add(phaseEvent(api::Phase::Weights, 1, Kind::Progress, 1000 + bytes));
    }
    history.add(api::StateEvent{api::EngineState::Ready, 0, "", {}});
    const auto events = history.after({}, true, 1000);
    QCOMPARE(events.size(), std::size_t{5});
    QCOMPARE(std::get<api::PhaseEvent>(events[2].event).bytesDone, std::uint64_t{100});
    QCOMPARE(std::get<api::PhaseEvent>(events[3].event).bytesDone, std::uint64_t{1100});
    QVERIFY(std::holds_alternative<api::StateEvent>(events[4].event));
    QCOMPARE(history.after({}, false, 1000).size(), std::size_t{1});
    QCOMPARE(history.after({events[3].number, events[4].number}, true, 1000).size(),
             std::size_t{0});
    // Progress in between is news to a reader that has seen older progress.
    history.add(phaseEvent(api::Phase::Weights, 1, Kind::Progress, 2000));
    QCOMPARE(history.after({events[3].number, events[4].number}, true, 1000).size(),
             std::size_t{1});
  }

  void manyClientsSeeEverythingInOrderWhileThreadsReport() {
    constexpr int kClients = 8;
    constexpr int kRecords = 2000;
    Logger logger(0);
    auto server = serve(logger);
    QVERIFY(server != nullptr);
    std::vector<std::string> problems(kClients);
    std::vector<std::thread> threads;
    std::latch subscribed(kClients);
    for (int i = 0; i < kClients; ++i) {
      threads.emplace_back([this, &subscribed, &problem = problems[static_cast<std::size_t>(i)]] {
        ControlClient client(path_);
        if (!client.subscribe({true, true, true, 0})) {
          problem = "not subscribed";
        }
        subscribed.count_down();
        std::uint64_t seq = 0;
        int ends = 0;
        while (const std::optional<protocol::ControlMessage> next = client.message()) {
          if (const auto* record = std::get_if<LogRecord>(&next->body)) {
            problem = record->seq == seq + 1 ? problem : "a gap in the log";
            seq = record->seq;
          } else if (const auto* phase = std::get_if<api::PhaseEvent>(&next->body)) {
            ends += phase->kind == api::PhaseEventKind::End ? 1 : 0;
          } else if (const auto* move = std::get_if<api::StateEvent>(&next->body)) {
            problem = ends == 26 && move->state == api::EngineState::Failed ? problem : "early";
          }
        }
        problem = client.ended() && ends == 26 && seq == kRecords ? problem : "not everything";
      });
    }
    std::vector<std::thread> reporters;
    for (int rank = 0; rank < 2; ++rank) {
      reporters.emplace_back([&server, rank] {
        for (const api::Phase phase : api::kPhases) {
          server->phase(phaseEvent(phase, rank, api::PhaseEventKind::Begin));
          for (std::uint64_t bytes = 0; bytes < 100; ++bytes) {
            server->phase(phaseEvent(phase, rank, api::PhaseEventKind::Progress, bytes));
          }
          server->phase(phaseEvent(phase, rank, api::PhaseEventKind::End));
        }
      });
    }
    reporters.emplace_back([&logger] {
      for (int i = 0; i < kRecords; ++i) {
        logger.info("test", "record {}", i);
      }
    });
    for (std::thread& reporter : reporters) {
      reporter.join();
    }
    subscribed.wait();
    server->state({api::EngineState::Failed, 0, "", Error{ErrorCode::Internal, "m", "r"}});
    server.reset();
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const std::string& problem : problems) {
      QVERIFY2(problem.empty(), problem.c_str());
    }
  }

  void theLastWordArrivesBeforeTheConnectionEndsAndTheFileIsGone() {
    Logger logger(0);
    auto server = serve(logger);
    ControlClient client(path_);
    QVERIFY(client.subscribe(kLog));
    const Error error{ErrorCode::Unavailable, "rank 1 is gone", "Start again."};
    server->state({api::EngineState::Failed, 0, "", error});
    for (int i = 0; i < 5000; ++i) {
      logger.info("test", "last words {}", i);
    }
    server.reset();
    QVERIFY(!exists(path_));
    const auto failed = client.find<api::StateEvent>();
    QVERIFY(failed && failed->error);
    QCOMPARE(failed->error->message, error.message);
    QCOMPARE(failed->error->remedy, error.remedy);
    std::uint64_t seq = 0;
    while (const std::optional<LogRecord> record = client.find<LogRecord>()) {
      QCOMPARE(record->seq, ++seq);
    }
    QVERIFY(client.ended());
  }

  void aClientThatReadsNothingIsCutOffAndTheOthersNotKeptWaiting() {
    Logger logger(0);
    ControlOptions impatient = options();
    impatient.patience = std::chrono::milliseconds(200);
    const auto server = serve(logger, impatient);
    ControlClient slow(path_);
    QVERIFY(slow.subscribe(kLog));
    const std::string text(4000, 'x');
    // More than the kernel and the server hold for a client together.
    for (int i = 0; i < 1000; ++i) {
      logger.info("test", "{}", text);
    }
    ControlClient quick(path_);
    QVERIFY(quick.subscribe(kLog));
    const auto warning = quick.find<LogRecord>([](const LogRecord& record) {
      return record.text.find("reads too slowly and is cut off") != std::string::npos;
    });
    QVERIFY(warning.has_value());
    QVERIFY(warning->text.find("test (pid ") == 0);
    QCOMPARE(warning->seq, std::uint64_t{1001});
    QVERIFY(slow.readToEnd());

    // It may come back and ask for the rest.
    ControlClient again(path_);
    QVERIFY(again.subscribe({false, false, true, 900}));
    QCOMPARE(again.find<LogRecord>()->seq, std::uint64_t{901});
  }

  void aClientThatLostRecordsIsCutOffInsteadOfMisled() {
    Logger logger(0);
    const auto server = serve(logger);
    ControlClient slow(path_);
    logger.info("test", "first");
    QVERIFY(slow.subscribe(kLog));
    QCOMPARE(slow.find<LogRecord>()->seq, std::uint64_t{1});
    const std::string text(1000, 'x');
    for (std::size_t i = 0; i < 2 * Logger::kKept; ++i) {
      logger.info("test", "{}", text);
    }
    std::uint64_t seq = 1;
    while (const std::optional<LogRecord> record = slow.find<LogRecord>()) {
      QCOMPARE(record->seq, ++seq);
    }
    QVERIFY(slow.ended());
    QVERIFY(seq < 2 * Logger::kKept);
  }

  void aClientBeyondTheLimitIsToldSo() {
    Logger logger(0);
    ControlOptions one = options();
    one.maxClients = 1;
    const auto server = serve(logger, one);
    ControlClient first(path_);
    QVERIFY(first.subscribe(kLog));
    ControlClient second(path_);
    const auto refusal = second.find<protocol::Refusal>();
    QVERIFY(refusal.has_value());
    QVERIFY(refusal->error.code == ErrorCode::Unavailable);
    QVERIFY(second.readToEnd());
  }

  void aLineWithoutAnEndIsRefusedAndTheConnectionEnded() {
    Logger logger(0);
    const auto server = serve(logger);
    ControlClient client(path_);
    // The server may hang up before all of it is sent.
    client.send(std::string(protocol::kMaxLineBytes + 1, 'a'));
    const auto refusal = client.find<protocol::Refusal>();
    QVERIFY(refusal.has_value());
    QVERIFY(refusal->error.message.find("1048576") != std::string::npos);
    QVERIFY(client.readToEnd());
  }

  void aScriptThatClosesItsSendingSideStillGetsItsAnswers() {
    Logger logger(0);
    const auto server = serve(logger);
    ControlClient client(path_);
    client.send(protocol::encode(protocol::ControlRequest{1, protocol::HelloRequest{"script"}}) +
                protocol::encode(protocol::ControlRequest{2, protocol::StatusRequest{}}));
    client.closeSending();
    QVERIFY(client.find<protocol::Hello>().has_value());
    QVERIFY(client.find<protocol::Status>().has_value());
    QVERIFY(client.readToEnd());
  }

  void statisticsComeAgainAndAgainUntilUnsubscribed() {
    Logger logger(0);
    testing::FakeEngine engine(tokenizer_, [](const std::string&) { return testing::FakeReply{}; });
    ControlOptions often = options();
    often.statsPoll = std::chrono::milliseconds(10);
    const auto server = serve(logger, often);
    ControlClient client(path_);
    QVERIFY(client.subscribe({false, true, false, 0}));
    QVERIFY(client.find<api::EngineStats>()->state == api::EngineState::Starting);
    {
      const EngineWatch watch(*server, engine);
      const auto ready = client.find<api::EngineStats>(
          [](const api::EngineStats& stats) { return stats.state == api::EngineState::Ready; });
      QVERIFY(ready.has_value());
    }
    // The last snapshot of an engine that is gone.
    QVERIFY(client.send(protocol::ControlRequest{3, protocol::StatusRequest{}}));
    const auto status = client.find<protocol::Status>();
    QVERIFY(status->stats.state == api::EngineState::Ready);
    QCOMPARE(status->info.modelName, std::string("fake-v4"));
    QVERIFY(client.send(protocol::ControlRequest{4, protocol::SubscribeRequest{}}));
    QVERIFY(client.find<protocol::Subscribed>().has_value());
    QVERIFY(client.send(protocol::ControlRequest{5, protocol::StatusRequest{}}));
    const auto next = client.message();
    QVERIFY(next && std::holds_alternative<protocol::Status>(next->body));
  }
};

QTEST_APPLESS_MAIN(ControlServerTest)
#include "control_server_test.moc"
