// SPDX-License-Identifier: GPL-3.0-or-later
// ControlClient against a control socket whose lines are written by the test.
#include "app/launcher/control_client.h"

#include <algorithm>
#include <chrono>

#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "tests/support/scripted_control_socket.h"

namespace tandem::test {

using namespace tandem::app;
using namespace std::chrono_literals;

namespace {

constexpr int kPatienceMs = 30000;

LogRecord record(std::uint64_t seq) {
  LogRecord made;
  made.seq = seq;
  made.text = "line " + std::to_string(seq);
  return made;
}

QByteArray line(const protocol::MessageBody& body) {
  return QByteArray::fromStdString(protocol::encode(protocol::ControlMessage{{}, body}));
}

/// A client on a scripted socket of its own, and all that it said.
struct Connection {
  Connection() {
    client.connect(&client, &ControlClient::opened, &client, [this](const protocol::Hello& hello) {
      opened.push_back(hello);
    });
    client.connect(&client,
                   &ControlClient::logArrived,
                   &client,
                   [this](const std::vector<LogRecord>& records) { batches.push_back(records); });
    client.connect(&client, &ControlClient::closed, &client, [this](const Error& why) {
      closed.push_back(why);
    });
    client.connect(&client, &ControlClient::refused, &client, [this](const Error& why) {
      refused.push_back(why);
    });
    client.connect(&client,
                   &ControlClient::statusArrived,
                   &client,
                   [this](const protocol::Status& status) { statuses.push_back(status); });
    client.connect(&client,
                   &ControlClient::phaseArrived,
                   &client,
                   [this](const api::PhaseEvent& event) { phases.push_back(event); });
  }

  [[nodiscard]] QString path() const { return folder.filePath(QStringLiteral("s")); }
  bool open(const protocol::Topics& topics = {true, true, true, 0}) {
    if (!engine.listen()) {
      return false;
    }
    client.open(path(), topics);
    return QTest::qWaitFor([this] { return client.isOpen(); }, kPatienceMs);
  }
  [[nodiscard]] QString why() const {
    return closed.empty() ? QString() : QString::fromStdString(closed.back().text());
  }

  QTemporaryDir folder;
  ScriptedControlSocket engine{folder.filePath(QStringLiteral("s"))};
  ControlClient client;
  std::vector<protocol::Hello> opened;
  std::vector<std::vector<LogRecord>> batches;
  std::vector<api::PhaseEvent> phases;
  std::vector<protocol::Status> statuses;
  std::vector<Error> closed;
  std::vector<Error> refused;
};

}  // namespace

class ControlClientTest : public QObject {
  Q_OBJECT

 private slots:
  void saysHelloThenSubscribesAfterTheLastRecord();
  void eventsArriveAsValues();
  void linesMayComeInAnyPieces();
  void recordsThatComeTogetherAreOneBatch();
  void answersFindTheirRequests();
  void aRefusedStopIsNoBrokenConnection();
  void anUnknownKindOfEventIsIgnored();
  void anotherVersionEndsItWithBothVersionsNamed();
  void aRefusedHelloEndsItWithTheEnginesWords();
  void aLineOfTheLimitIsReadAndALongerOneEndsIt_data();
  void aLineOfTheLimitIsReadAndALongerOneEndsIt();
  void aLineWithoutAnEndIsNotCollectedForever();
  void whatIsNoMessageEndsIt_data();
  void whatIsNoMessageEndsIt();
  void aSilentEngineIsATimeout_data();
  void aSilentEngineIsATimeout();
  void aSlowAnswerWithinTheLimitIsFine();
  void nobodyListeningIsUnavailable();
  void whatWasSaidBeforeTheEndIsHeard();
  void itMayBeOpenedAgainInsideClosed();
  void itMayBeClosedInsideAnyEvent();
};

void ControlClientTest::saysHelloThenSubscribesAfterTheLastRecord() {
  QCoreApplication::setApplicationName(QStringLiteral("test"));
  QCoreApplication::setApplicationVersion(QStringLiteral("1.2"));
  Connection connection;
  connection.engine.hello.pid = 4711;
  connection.engine.hello.lastLogSeq = 99;
  QVERIFY(connection.open({true, false, true, 42}));
  QCOMPARE(connection.opened.size(), std::size_t{1});
  QCOMPARE(connection.opened[0].pid, 4711);
  QCOMPARE(connection.opened[0].lastLogSeq, std::uint64_t{99});
  const std::vector<QJsonObject>& requests = connection.engine.requests();
  QCOMPARE(requests.size(), std::size_t{2});
  QCOMPARE(requests[0][u"type"].toString(), QStringLiteral("hello"));
  QCOMPARE(requests[0][u"v"].toInt(), protocol::kControlVersion);
  QCOMPARE(requests[0][u"client"].toString(), QStringLiteral("test 1.2"));
  QCOMPARE(requests[1][u"type"].toString(), QStringLiteral("subscribe"));
  QCOMPARE(requests[1][u"topics"].toVariant().toStringList(),
           (QStringList{QStringLiteral("phase"), QStringLiteral("log")}));
  QCOMPARE(requests[1][u"log_after"].toInt(), 42);
}

void ControlClientTest::eventsArriveAsValues() {
  Connection connection;
  QVERIFY(connection.open());
  QSignalSpy stats(&connection.client, &ControlClient::statsArrived);
  QSignalSpy states(&connection.client, &ControlClient::stateArrived);
  api::PhaseEvent phase;
  phase.phase = api::Phase::Weights;
  phase.rank = 1;
  phase.kind = api::PhaseEventKind::Progress;
  phase.bytesDone = 5;
  phase.bytesTotal = 7;
  connection.engine.say(phase);
  connection.engine.say(api::StateEvent{api::EngineState::Ready, 3, "http://x/v1", {}});
  api::EngineStats numbers;
  numbers.generatedTokens = 11;
  connection.engine.say(numbers);
  QTRY_COMPARE_WITH_TIMEOUT(stats.size(), 1, kPatienceMs);
  QCOMPARE(states.size(), 1);
  QCOMPARE(connection.phases.size(), std::size_t{1});
  QVERIFY(connection.phases[0].phase == api::Phase::Weights);
  QVERIFY(connection.phases[0].kind == api::PhaseEventKind::Progress);
  QCOMPARE(connection.phases[0].bytesTotal, std::uint64_t{7});
}

void ControlClientTest::linesMayComeInAnyPieces() {
  Connection connection;
  QVERIFY(connection.open());
  const QByteArray lines = line(record(1)) + line(record(2)) + line(record(3));
  for (const char byte : lines) {
    connection.engine.write(QByteArray(1, byte));
    QCoreApplication::processEvents();
  }
  std::size_t count = 0;
  QTRY_VERIFY_WITH_TIMEOUT((count = 0,
                            std::for_each(connection.batches.begin(),
                                          connection.batches.end(),
                                          [&count](const auto& batch) { count += batch.size(); }),
                            count == 3),
                           kPatienceMs);
}

void ControlClientTest::recordsThatComeTogetherAreOneBatch() {
  Connection connection;
  connection.engine.afterSubscribe = [](const QJsonObject&) {
    QByteArray lines;
    for (std::uint64_t seq = 1; seq <= 50; ++seq) {
      lines += line(record(seq));
    }
    return lines;
  };
  QVERIFY(connection.open());
  QTRY_COMPARE_WITH_TIMEOUT(connection.batches.size(), std::size_t{1}, kPatienceMs);
  QCOMPARE(connection.batches[0].size(), std::size_t{50});
  QCOMPARE(connection.batches[0].back().text, std::string("line 50"));
}

void ControlClientTest::answersFindTheirRequests() {
  Connection connection;
  QVERIFY(connection.open());
  QSignalSpy stopping(&connection.client, &ControlClient::stopping);
  connection.client.requestStatus();
  connection.client.requestStop(1.5);
  connection.client.requestStop(std::nullopt);
  QTRY_COMPARE_WITH_TIMEOUT(connection.engine.requests().size(), std::size_t{5}, kPatienceMs);
  const std::vector<QJsonObject>& requests = connection.engine.requests();
  QCOMPARE(requests[3][u"drain_seconds"].toDouble(), 1.5);
  QVERIFY(!requests[4].contains(u"drain_seconds"));
  connection.engine.reply(requests[4], protocol::Stopping{});
  connection.engine.reply(requests[3], protocol::Stopping{});
  protocol::Status status;
  status.info.vocabSize = 8;
  connection.engine.reply(requests[2], status);
  QTRY_COMPARE_WITH_TIMEOUT(connection.statuses.size(), std::size_t{1}, kPatienceMs);
  QCOMPARE(connection.statuses[0].info.vocabSize, 8);
  QCOMPARE(stopping.size(), 2);
}

void ControlClientTest::aRefusedStopIsNoBrokenConnection() {
  Connection connection;
  QVERIFY(connection.open());
  connection.client.requestStop(std::nullopt);
  QTRY_COMPARE_WITH_TIMEOUT(connection.engine.requests().size(), std::size_t{3}, kPatienceMs);
  connection.engine.reply(connection.engine.requests()[2],
                          protocol::Refusal{{ErrorCode::PermissionDenied, "not you", "ask"}});
  QTRY_COMPARE_WITH_TIMEOUT(connection.refused.size(), std::size_t{1}, kPatienceMs);
  QCOMPARE(connection.refused[0].text(), std::string("not you. ask"));
  QVERIFY(connection.client.isOpen());
}

void ControlClientTest::anUnknownKindOfEventIsIgnored() {
  Connection connection;
  QVERIFY(connection.open());
  connection.engine.write("{\"v\":1,\"type\":\"weather\",\"rain\":true}\n");
  connection.engine.say(record(1));
  QTRY_COMPARE_WITH_TIMEOUT(connection.batches.size(), std::size_t{1}, kPatienceMs);
}

void ControlClientTest::anotherVersionEndsItWithBothVersionsNamed() {
  Connection connection;
  connection.engine.answers = false;
  QVERIFY(connection.engine.listen());
  connection.client.open(connection.path(), {});
  QTRY_COMPARE_WITH_TIMEOUT(connection.engine.requests().size(), std::size_t{1}, kPatienceMs);
  connection.engine.write("{\"v\":2,\"re\":1,\"type\":\"hello\"}\n");
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QVERIFY(connection.closed[0].code == ErrorCode::DataCorrupt);
  QVERIFY2(connection.why().contains(QStringLiteral("version 2")) &&
               connection.why().contains(QStringLiteral("version 1")) &&
               connection.why().contains(connection.path()),
           qPrintable(connection.why()));
}

void ControlClientTest::aRefusedHelloEndsItWithTheEnginesWords() {
  Connection connection;
  connection.engine.answers = false;
  QVERIFY(connection.engine.listen());
  connection.client.open(connection.path(), {});
  QTRY_COMPARE_WITH_TIMEOUT(connection.engine.requests().size(), std::size_t{1}, kPatienceMs);
  connection.engine.reply(connection.engine.requests()[0],
                          protocol::Refusal{{ErrorCode::InvalidArgument, "too old", "update"}});
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QCOMPARE(connection.why(), QStringLiteral("too old. update"));
  QVERIFY(connection.opened.empty());
}

void ControlClientTest::aLineOfTheLimitIsReadAndALongerOneEndsIt_data() {
  QTest::addColumn<int>("extra");
  QTest::newRow("the limit") << 0;
  QTest::newRow("one byte more") << 1;
}

void ControlClientTest::aLineOfTheLimitIsReadAndALongerOneEndsIt() {
  QFETCH(int, extra);
  Connection connection;
  QVERIFY(connection.open());
  QByteArray text = line(record(1));
  text.chop(2);  // the brace and the newline
  const auto limit = static_cast<qsizetype>(protocol::kMaxLineBytes);
  text += ",\"x\":\"" + QByteArray(limit + extra - text.size() - 9, 'x') + "\"}\n";
  QCOMPARE(text.size(), limit + extra);
  connection.engine.write(text);
  if (extra == 0) {
    QTRY_COMPARE_WITH_TIMEOUT(connection.batches.size(), std::size_t{1}, kPatienceMs);
  } else {
    QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
    QVERIFY(connection.closed[0].code == ErrorCode::DataCorrupt);
    QVERIFY2(connection.why().contains(QString::number(limit)), qPrintable(connection.why()));
  }
}

void ControlClientTest::aLineWithoutAnEndIsNotCollectedForever() {
  Connection connection;
  QVERIFY(connection.open());
  connection.engine.write(QByteArray(8 << 20, 'x'));
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QVERIFY(connection.closed[0].code == ErrorCode::DataCorrupt);
}

void ControlClientTest::whatIsNoMessageEndsIt_data() {
  QTest::addColumn<QByteArray>("text");
  QTest::newRow("no JSON") << QByteArray("hello\n");
  QTest::newRow("an empty line") << QByteArray("\n");
  QTest::newRow("no UTF-8") << QByteArray("{\"v\":1,\"type\":\"\xff\"}\n");
  QTest::newRow("a list") << QByteArray("[]\n");
  QTest::newRow("a wrong field") << QByteArray(
      "{\"v\":1,\"type\":\"state\",\"state\":\"happy\"}\n");
}

void ControlClientTest::whatIsNoMessageEndsIt() {
  QFETCH(QByteArray, text);
  Connection connection;
  QVERIFY(connection.open());
  connection.engine.write(text);
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QVERIFY(connection.closed[0].code == ErrorCode::DataCorrupt);
  QVERIFY(!connection.client.isOpen());
}

void ControlClientTest::aSilentEngineIsATimeout_data() {
  QTest::addColumn<bool>("answersHello");
  QTest::newRow("from the beginning") << false;
  QTest::newRow("to a later request") << true;
}

void ControlClientTest::aSilentEngineIsATimeout() {
  QFETCH(bool, answersHello);
  Connection connection;
  connection.engine.answers = answersHello;
  QVERIFY(connection.engine.listen());
  // Long enough for an answer between two processes of a busy machine, where one is given.
  connection.client.setReplyLimit(answersHello ? 2s : 50ms);
  connection.client.open(connection.path(), {});
  if (answersHello) {
    QTRY_VERIFY_WITH_TIMEOUT(connection.client.isOpen(), kPatienceMs);
    connection.client.setReplyLimit(50ms);
    connection.client.requestStatus();
  }
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QVERIFY(connection.closed[0].code == ErrorCode::Timeout);
  QVERIFY2(connection.why().contains(connection.path()), qPrintable(connection.why()));
  QTRY_VERIFY_WITH_TIMEOUT(!connection.engine.connected(), kPatienceMs);
}

void ControlClientTest::aSlowAnswerWithinTheLimitIsFine() {
  Connection connection;
  QVERIFY(connection.open());
  connection.client.requestStatus();
  QTRY_COMPARE_WITH_TIMEOUT(connection.engine.requests().size(), std::size_t{3}, kPatienceMs);
  // Events in between do not count as the answer, and do no harm.
  for (std::uint64_t seq = 1; seq <= 20; ++seq) {
    connection.engine.say(record(seq));
    QCoreApplication::processEvents();
  }
  QVERIFY(connection.statuses.empty());
  connection.engine.reply(connection.engine.requests()[2], protocol::Status{});
  QTRY_COMPARE_WITH_TIMEOUT(connection.statuses.size(), std::size_t{1}, kPatienceMs);
}

void ControlClientTest::nobodyListeningIsUnavailable() {
  Connection connection;
  connection.client.open(connection.path(), {});
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QVERIFY(connection.closed[0].code == ErrorCode::Unavailable);
  QVERIFY(connection.why().contains(connection.path()));
}

void ControlClientTest::whatWasSaidBeforeTheEndIsHeard() {
  Connection connection;
  QVERIFY(connection.open());
  QSignalSpy states(&connection.client, &ControlClient::stateArrived);
  connection.engine.say(record(1));
  connection.engine.say(api::StateEvent{api::EngineState::Stopped, 3, {}, {}});
  connection.engine.disconnectClient();
  QTRY_COMPARE_WITH_TIMEOUT(connection.closed.size(), std::size_t{1}, kPatienceMs);
  QVERIFY(connection.closed[0].code == ErrorCode::Unavailable);
  QCOMPARE(states.size(), 1);
  QCOMPARE(connection.batches.size(), std::size_t{1});
}

void ControlClientTest::itMayBeOpenedAgainInsideClosed() {
  Connection connection;
  QVERIFY(connection.open());
  QObject::connect(&connection.client, &ControlClient::closed, &connection.client, [&connection] {
    connection.client.open(connection.path(), {});
  });
  connection.engine.disconnectClient();
  QTRY_COMPARE_WITH_TIMEOUT(connection.opened.size(), std::size_t{2}, kPatienceMs);
  QVERIFY(connection.client.isOpen());
}

void ControlClientTest::itMayBeClosedInsideAnyEvent() {
  Connection connection;
  QVERIFY(connection.open());
  QObject::connect(&connection.client,
                   &ControlClient::phaseArrived,
                   &connection.client,
                   [&connection] { connection.client.close(); });
  connection.engine.write(line(api::PhaseEvent{}) + line(api::PhaseEvent{}) + line(record(1)));
  QTRY_VERIFY_WITH_TIMEOUT(!connection.engine.connected(), kPatienceMs);
  QCOMPARE(connection.phases.size(), std::size_t{1});
  QVERIFY(connection.batches.empty());
  QVERIFY(connection.closed.empty());
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::ControlClientTest)
#include "control_client_test.moc"
