// SPDX-License-Identifier: GPL-3.0-or-later
// EngineService with a real process and a control socket whose lines are written by the test.
#include "app/launcher/engine_service.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "app/launcher/detached_process.h"
#include "app/launcher/process_identity.h"
#include "tests/support/scripted_control_socket.h"

namespace tandem::test {

using namespace tandem::app;

namespace {

constexpr int kPatienceMs = 30000;

/// Starts a process that does nothing; the test plays its control socket.
class ScriptedHost final : public EngineHost {
 public:
  explicit ScriptedHost(QString socket)
      : socket_(std::move(socket)) {}
  ~ScriptedHost() override { kill(SIGKILL); }
  ScriptedHost(const ScriptedHost&) = delete;
  ScriptedHost& operator=(const ScriptedHost&) = delete;

  std::string script = "exec sleep 1000";
  std::optional<Error> refuses;  // start() with this
  int busyStarts = 0;            // so many start() find another one at it
  std::optional<EngineProcess> lost;
  std::vector<QString> output;
  int starts = 0;
  std::vector<bool> terminations;

  [[nodiscard]] QString name() const override { return QStringLiteral("scripted"); }
  Result<EngineProcess> start() override {
    if (refuses) {
      return *refuses;
    }
    if (find() || busyStarts-- > 0) {
      return Error{ErrorCode::AlreadyExists, "there is one", ""};
    }
    ++starts;
    const Result<ProcessIdentity> started =
        startDetached({"/bin/sh", {"-c", script}, STDERR_FILENO},
                      [](const ProcessIdentity&) { return Result<void>(); });
    if (!started) {
      return started.error();
    }
    identity_ = *started;
    return EngineProcess{identity_.pid, socket_};
  }
  [[nodiscard]] std::optional<EngineProcess> find() const override {
    return identity_.pid != 0 && identifyProcess(identity_.pid) == identity_
               ? std::optional(EngineProcess{identity_.pid, socket_})
               : std::nullopt;
  }
  [[nodiscard]] std::optional<EngineProcess> findLost() const override { return lost; }
  Result<void> terminate(bool force) override {
    terminations.push_back(force);
    kill(force ? SIGKILL : SIGTERM);
    return {};
  }
  [[nodiscard]] std::vector<QString> lastOutput(int /*lines*/) const override { return output; }

  void kill(int signal) const {
    if (find()) {
      ::kill(static_cast<pid_t>(identity_.pid), signal);
    }
  }

 private:
  QString socket_;
  ProcessIdentity identity_;
};

api::PhaseEvent phase(api::Phase name, api::PhaseEventKind kind) {
  api::PhaseEvent event;
  event.phase = name;
  event.kind = kind;
  return event;
}

LogRecord record(std::uint64_t seq) {
  LogRecord made;
  made.seq = seq;
  return made;
}

struct Bench {
  Bench() {
    QObject::connect(&service, &EngineService::reportChanged, &service, [this] {
      links.push_back(service.report().link);
    });
    QObject::connect(&service,
                     &EngineService::logArrived,
                     &service,
                     [this](const std::vector<LogRecord>& records) {
                       for (const LogRecord& one : records) {
                         seqs.push_back(one.seq);
                       }
                     });
  }

  [[nodiscard]] bool waitFor(EngineLink link) {
    return QTest::qWaitFor([&] { return service.report().link == link; }, kPatienceMs);
  }
  [[nodiscard]] bool waitFor(EngineLink link, api::EngineState state) {
    return QTest::qWaitFor(
        [&] { return service.report().link == link && service.report().state == state; },
        kPatienceMs);
  }
  [[nodiscard]] bool attachToReady() {
    engine.hello.state = api::EngineState::Ready;
    engine.hello.endpoint = "http://127.0.0.1:8000/v1";
    if (!engine.listen()) {
      return false;
    }
    service.start();
    return waitFor(EngineLink::Attached);
  }
  [[nodiscard]] QString failure() const {
    return service.report().failure ? QString::fromStdString(service.report().failure->text())
                                    : QString();
  }
  [[nodiscard]] QStringList eventNames() const {
    QStringList names;
    for (const api::PhaseEvent& event : service.startEvents()) {
      const std::string_view name = api::phaseName(event.phase);
      names << QString::fromLatin1(name.data(), static_cast<qsizetype>(name.size())) + u' ' +
                   QString::number(static_cast<int>(event.kind));
    }
    return names;
  }

  QTemporaryDir folder;
  QString socket = folder.filePath(QStringLiteral("s"));
  ScriptedHost host{socket};
  ScriptedControlSocket engine{socket};
  EngineService service{host};
  std::vector<EngineLink> links;
  std::vector<std::uint64_t> seqs;
};

const QString kSpawnBegins = QStringLiteral("spawn 0");
const QString kSpawnEnds = QStringLiteral("spawn 2");
const QString kSpawnFails = QStringLiteral("spawn 3");

}  // namespace

class EngineServiceTest : public QObject {
  Q_OBJECT

 private slots:
  void whereNothingRunsThatIsReported();
  void aStartSpawnsAttachesAndBecomesReadyWithEverythingKnown();
  void aRunningEngineIsFoundAndItsStartIsToldAgain();
  void aSecondStartAttachesToTheSameProcess();
  void twoServicesOfOneHostShareOneEngine();
  void aStartWaitsForAnotherOneThatIsUnderWay();
  void aHostThatRefusesIsTheFailure();
  void anEngineThatDiesBeforeItsSocketSaysWhatItPrinted();
  void itsOwnSentenceIsTheFailureWhenThereIsOne();
  void aFailureItTellsOfIsReportedInItsWords();
  void aBrokenConnectionIsTakenUpAgainAfterTheLastRecord();
  void anEngineThatVanishesIsLost();
  void oneThatWasLostBeforeIsReportedByTheNext();
  void aLostEngineCanBeStartedAgain();
  void stopAsksOverTheSocketAndASecondOneDoesNotWait();
  void stopWhileSpawningEndsTheProcess();
  void stopWhileAnotherStartIsUnderWayCancelsOurs();
  void aStopThatIsNotHeardEndsTheProcess();
  void anEngineThatEndsByItselfInOrderIsAbsent();
  void anotherVersionIsSaidAndTheEngineCanStillBeStopped();
  void aStartWhileOneDrainsWaitsForItsEnd();
  void theProcessOutlivesTheService();
};

void EngineServiceTest::whereNothingRunsThatIsReported() {
  Bench bench;
  bench.service.attach();
  QCOMPARE(bench.links.size(), std::size_t{1});
  QVERIFY(bench.links[0] == EngineLink::Absent);
  bench.service.stop();
  QCOMPARE(bench.links.size(), std::size_t{2});
  QVERIFY(bench.host.terminations.empty());
}

void EngineServiceTest::aStartSpawnsAttachesAndBecomesReadyWithEverythingKnown() {
  Bench bench;
  bench.service.start();
  QVERIFY(bench.service.report().link == EngineLink::Spawning);
  QVERIFY(!bench.service.report().found);
  QCOMPARE(bench.eventNames(), QStringList{kSpawnBegins});
  QVERIFY(bench.engine.listen());
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Starting));
  bench.engine.say(phase(api::Phase::Connect, api::PhaseEventKind::Begin));
  bench.engine.say(phase(api::Phase::Connect, api::PhaseEventKind::End));
  bench.engine.say(api::StateEvent{api::EngineState::Ready, 1, "http://127.0.0.1:1/v1", {}});
  QTRY_VERIFY_WITH_TIMEOUT(!bench.engine.request(QStringLiteral("status")).isEmpty(), kPatienceMs);
  protocol::Status status;
  status.state = api::EngineState::Ready;
  status.endpoint = "http://127.0.0.1:1/v1";
  status.info.backend = "cpu";
  bench.engine.reply(bench.engine.request(QStringLiteral("status")), status);
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Ready));
  const EngineReport& report = bench.service.report();
  QCOMPARE(report.endpoint, QStringLiteral("http://127.0.0.1:1/v1"));
  QCOMPARE(report.info.backend, std::string("cpu"));
  QCOMPARE(report.pid, bench.host.find()->pid);
  QVERIFY(!report.found && !report.failure);
  QCOMPARE(bench.eventNames(),
           (QStringList{kSpawnBegins,
                        kSpawnEnds,
                        QStringLiteral("connect 0"),
                        QStringLiteral("connect 2")}));
  QVERIFY(bench.service.startEvents()[0].monotonicNs <= bench.service.startEvents()[1].monotonicNs);
}

void EngineServiceTest::aRunningEngineIsFoundAndItsStartIsToldAgain() {
  Bench bench;
  QVERIFY(bench.host.start());
  bench.engine.hello.state = api::EngineState::Ready;
  bench.engine.hello.endpoint = "http://127.0.0.1:8000/v1";
  bench.engine.afterSubscribe = [](const QJsonObject&) {
    return QByteArray::fromStdString(protocol::encode(
        protocol::ControlMessage{{}, phase(api::Phase::Api, api::PhaseEventKind::End)}));
  };
  QVERIFY(bench.engine.listen());
  bench.service.attach();
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Ready));
  QVERIFY(bench.service.report().found);
  QCOMPARE(bench.service.report().endpoint, QStringLiteral("http://127.0.0.1:8000/v1"));
  QTRY_COMPARE_WITH_TIMEOUT(bench.eventNames(), QStringList{QStringLiteral("api 2")}, kPatienceMs);
}

void EngineServiceTest::aSecondStartAttachesToTheSameProcess() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  const std::int64_t pid = bench.service.report().pid;
  bench.service.start();
  QCOMPARE(bench.service.report().pid, pid);
  QCOMPARE(bench.host.starts, 1);
  QVERIFY(bench.service.report().link == EngineLink::Attached);
}

void EngineServiceTest::twoServicesOfOneHostShareOneEngine() {
  Bench bench;
  bench.service.start();
  EngineService other(bench.host);
  other.start();
  QVERIFY(bench.engine.listen());
  QCOMPARE(other.report().pid, bench.service.report().pid);
  QVERIFY(other.report().found);
  QCOMPARE(bench.host.starts, 1);
  QVERIFY(other.startEvents().empty());
}

void EngineServiceTest::aStartWaitsForAnotherOneThatIsUnderWay() {
  Bench bench;
  bench.host.busyStarts = 3;
  QVERIFY(bench.engine.listen());
  bench.service.start();
  QVERIFY(bench.service.report().link == EngineLink::Spawning);
  QCOMPARE(bench.service.report().pid, 0);
  QVERIFY(bench.waitFor(EngineLink::Attached));
  QCOMPARE(bench.host.starts, 1);
}

void EngineServiceTest::aHostThatRefusesIsTheFailure() {
  Bench bench;
  bench.host.refuses = Error{ErrorCode::NotFound, "no program", "build it"};
  bench.service.start();
  QVERIFY(bench.service.report().link == EngineLink::Absent);
  QVERIFY(bench.service.report().state == api::EngineState::Failed);
  QCOMPARE(bench.failure(), QStringLiteral("no program. build it"));
  QCOMPARE(bench.eventNames(), (QStringList{kSpawnBegins, kSpawnFails}));
  bench.host.refuses.reset();
  QVERIFY(bench.attachToReady());
  QCOMPARE(bench.failure(), QString());
}

void EngineServiceTest::anEngineThatDiesBeforeItsSocketSaysWhatItPrinted() {
  Bench bench;
  bench.host.script = "exit 3";
  bench.host.output = {QStringLiteral("first"), QStringLiteral("second")};
  bench.service.start();
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Failed));
  for (const QString& part :
       {QStringLiteral("exit code 3"), QStringLiteral("first"), QStringLiteral("second")}) {
    QVERIFY2(bench.failure().contains(part), qPrintable(bench.failure()));
  }
  QCOMPARE(bench.eventNames(), (QStringList{kSpawnBegins, kSpawnFails}));
}

void EngineServiceTest::itsOwnSentenceIsTheFailureWhenThereIsOne() {
  Bench bench;
  bench.host.script = "exit 75";
  bench.host.output = {QStringLiteral("noise"),
                       QStringLiteral("tandem-engine serve: port 8000 is in use. Choose another.")};
  bench.service.start();
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Failed));
  QCOMPARE(bench.failure(), QStringLiteral("port 8000 is in use. Choose another."));
}

void EngineServiceTest::aFailureItTellsOfIsReportedInItsWords() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  bench.engine.say(api::StateEvent{api::EngineState::Failed,
                                   1,
                                   {},
                                   Error{ErrorCode::Unavailable, "rank 1 was lost", "restart"}});
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Failed));
  bench.host.kill(SIGKILL);
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Failed));
  QCOMPARE(bench.failure(), QStringLiteral("rank 1 was lost. restart"));
  QCOMPARE(bench.service.report().endpoint, QString());
}

void EngineServiceTest::aBrokenConnectionIsTakenUpAgainAfterTheLastRecord() {
  Bench bench;
  bench.engine.afterSubscribe = [](const QJsonObject& subscribe) {
    std::string lines = protocol::encode(
        protocol::ControlMessage{{}, phase(api::Phase::Connect, api::PhaseEventKind::Begin)});
    const auto first = static_cast<std::uint64_t>(subscribe[u"log_after"].toInteger()) + 1;
    for (std::uint64_t seq = first; seq < first + 3; ++seq) {
      lines += protocol::encode(protocol::ControlMessage{{}, record(seq)});
    }
    return QByteArray::fromStdString(lines);
  };
  QVERIFY(bench.attachToReady());
  QTRY_COMPARE_WITH_TIMEOUT(bench.seqs.size(), std::size_t{3}, kPatienceMs);
  bench.links.clear();
  bench.engine.disconnectClient();
  QTRY_COMPARE_WITH_TIMEOUT(bench.seqs.size(), std::size_t{6}, kPatienceMs);
  QVERIFY((bench.seqs == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6}));
  QCOMPARE(bench.engine.connections(), 2);
  // Nobody needs to see a break this short.
  QVERIFY(std::all_of(bench.links.begin(), bench.links.end(), [](EngineLink link) {
    return link == EngineLink::Attached;
  }));
  QCOMPARE(bench.eventNames(),
           (QStringList{kSpawnBegins, kSpawnEnds, QStringLiteral("connect 0")}));

  // One that lasts is seen, with its reason, and passes.
  bench.engine.close();
  QVERIFY(bench.waitFor(EngineLink::Spawning));
  QVERIFY2(bench.failure().contains(bench.socket), qPrintable(bench.failure()));
  QVERIFY(bench.engine.listen());
  QVERIFY(bench.waitFor(EngineLink::Attached));
  QCOMPARE(bench.failure(), QString());
}

void EngineServiceTest::anEngineThatVanishesIsLost() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  bench.host.output = {QStringLiteral("its last words")};
  bench.host.kill(SIGKILL);
  QVERIFY(bench.waitFor(EngineLink::Lost));
  QVERIFY(bench.service.report().state == api::EngineState::Failed);
  QVERIFY2(bench.failure().contains(QStringLiteral("signal 9")) &&
               bench.failure().contains(QStringLiteral("its last words")),
           qPrintable(bench.failure()));
}

void EngineServiceTest::oneThatWasLostBeforeIsReportedByTheNext() {
  Bench bench;
  bench.host.lost = EngineProcess{4711, bench.socket};
  bench.service.attach();
  QVERIFY(bench.service.report().link == EngineLink::Lost);
  QVERIFY2(bench.failure().contains(QStringLiteral("4711")), qPrintable(bench.failure()));
}

void EngineServiceTest::aLostEngineCanBeStartedAgain() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  bench.host.kill(SIGKILL);
  QVERIFY(bench.waitFor(EngineLink::Lost));
  QVERIFY(bench.attachToReady());
  QCOMPARE(bench.host.starts, 2);
  QCOMPARE(bench.eventNames(), (QStringList{kSpawnBegins, kSpawnEnds}));
}

void EngineServiceTest::stopAsksOverTheSocketAndASecondOneDoesNotWait() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  bench.service.stop();
  bench.service.stop();
  QTRY_COMPARE_WITH_TIMEOUT(bench.engine.requests().size(), std::size_t{4}, kPatienceMs);
  const std::vector<QJsonObject>& requests = bench.engine.requests();
  QVERIFY(!requests[2].contains(u"drain_seconds"));
  QVERIFY(requests[3].contains(u"drain_seconds"));
  QCOMPARE(requests[3][u"drain_seconds"].toDouble(), 0.0);
  bench.engine.reply(requests[2], protocol::Stopping{});
  bench.engine.reply(requests[3], protocol::Stopping{});
  bench.engine.say(api::StateEvent{api::EngineState::Draining, 1, {}, {}});
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Draining));
  bench.engine.say(api::StateEvent{api::EngineState::Stopped, 2, {}, {}});
  bench.engine.disconnectClient();
  bench.host.kill(SIGTERM);
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Stopped));
  QCOMPARE(bench.failure(), QString());
  QVERIFY(bench.host.terminations.empty());
}

void EngineServiceTest::stopWhileSpawningEndsTheProcess() {
  Bench bench;
  bench.host.script = "trap '' TERM; exec sleep 1000";
  bench.service.start();
  bench.service.stop();
  QVERIFY((bench.host.terminations == std::vector<bool>{false}));
  bench.service.stop();
  QVERIFY((bench.host.terminations == std::vector<bool>{false, true}));
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Stopped));
  QCOMPARE(bench.failure(), QString());
  QCOMPARE(bench.eventNames(), (QStringList{kSpawnBegins, kSpawnFails}));
}

void EngineServiceTest::stopWhileAnotherStartIsUnderWayCancelsOurs() {
  Bench bench;
  bench.host.busyStarts = 1000;
  bench.service.start();
  QVERIFY(bench.service.report().link == EngineLink::Spawning);
  bench.service.stop();
  QVERIFY(bench.service.report().link == EngineLink::Absent);
  QVERIFY(bench.service.report().state == api::EngineState::Stopped);
  QCOMPARE(bench.host.starts, 0);
}

void EngineServiceTest::aStopThatIsNotHeardEndsTheProcess() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  bench.engine.answers = false;
  bench.service.stop();
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Stopped));
  QVERIFY((bench.host.terminations == std::vector<bool>{false}));
}

void EngineServiceTest::anEngineThatEndsByItselfInOrderIsAbsent() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  bench.engine.say(api::StateEvent{api::EngineState::Draining, 1, {}, {}});
  bench.engine.say(api::StateEvent{api::EngineState::Stopped, 2, {}, {}});
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Stopped));
  bench.engine.disconnectClient();
  bench.host.kill(SIGTERM);
  QVERIFY(bench.waitFor(EngineLink::Absent));
  QVERIFY(bench.service.report().state == api::EngineState::Stopped);
  QCOMPARE(bench.failure(), QString());
}

void EngineServiceTest::anotherVersionIsSaidAndTheEngineCanStillBeStopped() {
  Bench bench;
  bench.engine.answers = false;
  QVERIFY(bench.engine.listen());
  bench.service.start();
  QTRY_VERIFY_WITH_TIMEOUT(!bench.engine.requests().empty(), kPatienceMs);
  bench.engine.write("{\"v\":2,\"re\":1,\"type\":\"hello\"}\n");
  QTRY_VERIFY_WITH_TIMEOUT(bench.failure().contains(QStringLiteral("version 2")), kPatienceMs);
  QVERIFY(bench.service.report().link == EngineLink::Spawning);
  bench.service.stop();
  QVERIFY(bench.waitFor(EngineLink::Absent, api::EngineState::Stopped));
  QVERIFY((bench.host.terminations == std::vector<bool>{false}));
}

void EngineServiceTest::aStartWhileOneDrainsWaitsForItsEnd() {
  Bench bench;
  QVERIFY(bench.attachToReady());
  const std::int64_t first = bench.service.report().pid;
  bench.engine.say(api::StateEvent{api::EngineState::Draining, 1, {}, {}});
  QVERIFY(bench.waitFor(EngineLink::Attached, api::EngineState::Draining));
  bench.service.start();
  QCOMPARE(bench.host.starts, 1);
  bench.host.kill(SIGTERM);
  QTRY_COMPARE_WITH_TIMEOUT(bench.host.starts, 2, kPatienceMs);
  QVERIFY(bench.waitFor(EngineLink::Attached));
  QVERIFY(bench.service.report().pid != first);
}

void EngineServiceTest::theProcessOutlivesTheService() {
  Bench bench;
  {
    EngineService service(bench.host);
    service.start();
    QVERIFY(service.report().pid != 0);
  }
  QVERIFY(bench.host.find());
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::EngineServiceTest)
#include "engine_service_test.moc"
