// SPDX-License-Identifier: GPL-3.0-or-later
// What the panel shows when the service says something, fed by hand.
#include "ui/bridge/engine_bridge.h"

#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "engine/base/clock.h"
#include "ui/bridge/chat_bridge.h"
#include "ui/bridge/engine_words.h"
#include "ui/pages/chat/chat_view_model.h"
#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/panel_view_model.h"

namespace tandem::test {

using api::EngineState;
using app::EngineLink;
using app::EngineReport;

namespace {

const QString kCluster = QStringLiteral("Demo cluster on this machine");

struct Bridged {
  ui::PanelViewModel panel;
  ui::EngineViewModel engine{panel};
  ui::MonitorViewModel monitor;
  ui::ChatViewModel chat;
  ui::ChatBridge chatBridge{chat};
  ui::EngineBridge bridge{{panel, engine, monitor, &chatBridge}, kCluster, nullptr};
};

EngineReport reportOf(EngineLink link, EngineState state = EngineState::Stopped) {
  EngineReport report;
  report.link = link;
  report.state = state;
  report.pid = link == EngineLink::Absent ? 0 : 4711;
  return report;
}

EngineReport readyReport() {
  EngineReport report = reportOf(EngineLink::Attached, EngineState::Ready);
  // A port of its own that nobody listens on: the chat only has to know where to ask.
  report.endpoint = QStringLiteral("http://127.0.0.1:1/v1");
  report.info.modelName = "demo-model";
  return report;
}

EngineReport failedReport(EngineLink link) {
  EngineReport report = reportOf(link, EngineState::Failed);
  report.failure = Error{ErrorCode::Unavailable,
                         "rank 1 (pid 4712) was killed by signal 9",
                         "Start the engine again."};
  return report;
}

api::PhaseEvent phaseEvent(std::int64_t agoMs,
                           api::Phase phase,
                           int rank,
                           api::PhaseEventKind kind) {
  api::PhaseEvent event;
  event.phase = phase;
  event.rank = rank;
  event.kind = kind;
  event.monotonicNs = monotonicNanoseconds() - agoMs * 1'000'000;
  return event;
}

std::vector<api::PhaseEvent> openStart() {
  return {phaseEvent(900, api::Phase::Spawn, 0, api::PhaseEventKind::Begin),
          phaseEvent(800, api::Phase::Spawn, 0, api::PhaseEventKind::End),
          phaseEvent(800, api::Phase::Connect, 0, api::PhaseEventKind::Begin),
          phaseEvent(700, api::Phase::Connect, 1, api::PhaseEventKind::Begin)};
}

api::EngineStats statsOf(double decode) {
  api::EngineStats stats;
  stats.wallMs = wallMilliseconds();
  stats.decodeTokensPerSecond = decode;
  stats.ranks = {{0, 0, 0, 64U << 20, 0, 0}, {1, 0, 0, 48U << 20, 0, 0}};
  return stats;
}

}  // namespace

}  // namespace tandem::test

Q_DECLARE_METATYPE(tandem::app::EngineReport)

namespace tandem::test {

class EngineBridgeTest : public QObject {
  Q_OBJECT

 private slots:
  void theHeaderSaysWhatTheReportSays_data();
  void theHeaderSaysWhatTheReportSays();
  void numbersAreShownOnlyWhileTheEngineRuns();
  void aStartGrowsByItselfAndOnlyWhileItRuns();
  void aFloodOfEventsIsDrawnByTheClock();
  void anotherStartReplacesTheLast();
  void anEngineThatFailedLaterDidNotFailToStart();
  void theChatOpensWhenReadyAndClosesWithASentence();
  void anAnswerEndsWithTheReasonAndNotWithTheLog();
  void aDrainingEngineFinishesItsAnswer();
  void aFoundEngineIsAnnouncedOnce();
  void aStopThatCannotBeCarriedOutIsSaid();
  void logRecordsArriveInOneBatch();
  void aStartIsComparedWithEarlierOnesAndKept();
  void wordsBecomeSentences_data();
  void wordsBecomeSentences();
};

void EngineBridgeTest::theHeaderSaysWhatTheReportSays_data() {
  QTest::addColumn<EngineReport>("report");
  QTest::addColumn<QString>("word");
  QTest::addColumn<QString>("action");
  QTest::addColumn<QString>("sentence");
  QTest::newRow("absent") << reportOf(EngineLink::Absent) << "Stopped"
                          << "Start engine"
                          << "Start it to load the model on both nodes and open the API.";
  QTest::newRow("spawning") << reportOf(EngineLink::Spawning) << "Starting"
                            << "Cancel start"
                            << "0 ms elapsed.";
  QTest::newRow("starting") << reportOf(EngineLink::Attached, EngineState::Starting) << "Starting"
                            << "Cancel start"
                            << "0 ms elapsed.";
  QTest::newRow("ready") << readyReport() << "Ready"
                         << "Stop engine"
                         << "It was running before this window opened.";
  QTest::newRow("draining") << reportOf(EngineLink::Attached, EngineState::Draining) << "Stopping"
                            << "Stop now"
                            << "Open answers are finished first; Stop now does not wait for them.";
  QTest::newRow("failed") << failedReport(EngineLink::Attached) << "Failed"
                          << "Start engine"
                          << "Rank 1 (pid 4712) was killed by signal 9. Start the engine again.";
  QTest::newRow("failed and gone") << failedReport(EngineLink::Absent) << "Failed"
                                   << "Start engine"
                                   << "Rank 1 (pid 4712) was killed by signal 9. Start the engine "
                                      "again.";
  EngineReport silent = reportOf(EngineLink::Spawning);
  silent.failure = Error{ErrorCode::Timeout, "the control socket does not answer", "Stop it."};
  QTest::newRow("silent") << silent << "Not answering"
                          << "Stop engine"
                          << "The control socket does not answer. Stop it.";
  QTest::newRow("lost") << reportOf(EngineLink::Lost) << "Engine lost"
                        << "Start engine"
                        << "The engine's process ended without a word. The log below may say why. "
                           "Start it again.";
}

void EngineBridgeTest::theHeaderSaysWhatTheReportSays() {
  QFETCH(EngineReport, report);
  Bridged b;
  b.bridge.showReport(report);
  QTEST(b.panel.stateWord(), "word");
  QTEST(b.panel.actionText(), "action");
  QTEST(b.engine.sentence(), "sentence");
  QCOMPARE(b.panel.engine().cluster, kCluster);
  QCOMPARE(b.panel.engine().endpoint.isEmpty(), !b.panel.engine().ready());
}

void EngineBridgeTest::numbersAreShownOnlyWhileTheEngineRuns() {
  Bridged b;
  b.bridge.showReport(readyReport());
  b.bridge.addStats(statsOf(62.1));
  QCOMPARE(b.panel.decodeText(), QStringLiteral("62.1 tok/s"));
  QCOMPARE(b.panel.memoryText(1), QStringLiteral("48.0 MiB"));
  QVERIFY(b.monitor.live());
  b.bridge.showReport(reportOf(EngineLink::Absent));
  QCOMPARE(b.panel.decodeText(), QStringLiteral("—"));
  QVERIFY(!b.monitor.live());
  QVERIFY(!b.monitor.empty());
  // The next engine does not begin with the numbers of the last.
  b.bridge.showReport(readyReport());
  QCOMPARE(b.panel.memoryText(1), QStringLiteral("—"));
}

void EngineBridgeTest::aStartGrowsByItselfAndOnlyWhileItRuns() {
  Bridged b;
  b.bridge.showReport(reportOf(EngineLink::Spawning));
  b.bridge.takeStartEvents(openStart(), true);
  QCOMPARE(b.engine.picture().lanes.size(), std::size_t{3});
  const double before = b.engine.picture().now;
  QVERIFY(before >= 0.9);
  QVERIFY(b.engine.picture().moving);
  QTRY_VERIFY(b.engine.picture().now > before + 0.1);

  std::vector<api::PhaseEvent> events = openStart();
  events.push_back(phaseEvent(0, api::Phase::Api, 0, api::PhaseEventKind::Begin));
  events.push_back(phaseEvent(0, api::Phase::Api, 0, api::PhaseEventKind::End));
  b.bridge.takeStartEvents(events, false);
  b.bridge.showReport(readyReport());
  QVERIFY(!b.engine.picture().moving);
  QVERIFY(b.engine.sentence().startsWith(u"Ready in "));
  // What still comes is posted: had a frame been due, it would be delivered here.
  QSignalSpy changed(&b.engine, &ui::EngineViewModel::changed);
  QTest::qWait(3 * ui::EngineBridge::kFrameMs);
  QCOMPARE(changed.size(), 0);
}

void EngineBridgeTest::aFloodOfEventsIsDrawnByTheClock() {
  Bridged b;
  b.bridge.showReport(reportOf(EngineLink::Spawning));
  std::vector<api::PhaseEvent> events = openStart();
  b.bridge.takeStartEvents(events, true);
  QSignalSpy changed(&b.engine, &ui::EngineViewModel::changed);
  for (int i = 0; i < 1000; ++i) {
    events.push_back(phaseEvent(0, api::Phase::Weights, i % 2, api::PhaseEventKind::Progress));
    b.bridge.takeStartEvents(events, false);
  }
  QCOMPARE(changed.size(), 0);
  QTRY_VERIFY(!changed.isEmpty());
  QCOMPARE(b.engine.phases().rowCount(), 5);
}

void EngineBridgeTest::anotherStartReplacesTheLast() {
  Bridged b;
  b.bridge.showReport(reportOf(EngineLink::Spawning));
  b.bridge.takeStartEvents(openStart(), true);
  QCOMPARE(b.engine.phases().rowCount(), 3);
  b.bridge.takeStartEvents({phaseEvent(5, api::Phase::Spawn, 0, api::PhaseEventKind::Begin)}, true);
  QCOMPARE(b.engine.phases().rowCount(), 1);
}

void EngineBridgeTest::anEngineThatFailedLaterDidNotFailToStart() {
  Bridged b;
  b.bridge.showReport(reportOf(EngineLink::Attached, EngineState::Starting));
  b.bridge.takeStartEvents(openStart(), true);
  b.bridge.showReport(failedReport(EngineLink::Attached));
  QCOMPARE(b.engine.headline(), QStringLiteral("The engine failed to start"));
  QCOMPARE(b.engine.picture().lanes.back().bars.back().state, ui::BarState::Failed);

  std::vector<api::PhaseEvent> events = openStart();
  events.push_back(phaseEvent(0, api::Phase::Api, 0, api::PhaseEventKind::End));
  b.bridge.takeStartEvents(events, true);
  b.bridge.showReport(failedReport(EngineLink::Attached));
  QCOMPARE(b.engine.headline(), QStringLiteral("The engine stopped with an error"));
}

void EngineBridgeTest::theChatOpensWhenReadyAndClosesWithASentence() {
  Bridged b;
  QCOMPARE(b.chat.hint(), QStringLiteral("The engine is stopped. Start it to chat."));
  b.bridge.showReport(reportOf(EngineLink::Spawning));
  QCOMPARE(b.chat.hint(), QStringLiteral("The engine is starting."));
  b.bridge.showReport(readyReport());
  QVERIFY(b.chat.hint().contains(u"127.0.0.1:1"));
  emit b.chat.sendRequested(QStringLiteral("Hello"));
  QVERIFY(b.chat.busy());
  b.bridge.showReport(failedReport(EngineLink::Absent));
  QVERIFY(!b.chat.available());
  QCOMPARE(b.chat.hint(), QStringLiteral("Rank 1 (pid 4712) was killed by signal 9."));
  QVERIFY(!b.chat.busy());
  QCOMPARE(b.chat.turn(1).error.what, b.chat.hint());
}

void EngineBridgeTest::anAnswerEndsWithTheReasonAndNotWithTheLog() {
  EngineReport report = reportOf(EngineLink::Lost, EngineState::Failed);
  report.failure = Error{ErrorCode::Unavailable,
                         "the engine was lost: its process ended; it printed last:\n  a\n  b",
                         "Start it again."};
  QCOMPARE(ui::whyNoChat(report), QStringLiteral("The engine was lost: its process ended."));
  // The page quotes the lines only when the log does not have them.
  Bridged b;
  b.bridge.showReport(report);
  QVERIFY(b.engine.sentence().endsWith(u"Start it again.\n  a\n  b"));
  b.bridge.addLog({LogRecord{1, 0, 0, LogLevel::Info, "m", "", "b"}});
  b.engine.flushLog();
  QVERIFY(b.engine.sentence().endsWith(u"its process ended. Start it again."));
}

void EngineBridgeTest::aDrainingEngineFinishesItsAnswer() {
  Bridged b;
  b.bridge.showReport(readyReport());
  emit b.chat.sendRequested(QStringLiteral("Hello"));
  b.bridge.showReport(reportOf(EngineLink::Attached, EngineState::Draining));
  QVERIFY(b.chat.busy());
  QVERIFY(!b.chat.available());
  QCOMPARE(b.chat.hint(), QStringLiteral("The engine is stopping."));
}

void EngineBridgeTest::aFoundEngineIsAnnouncedOnce() {
  Bridged b;
  QSignalSpy said(&b.panel, &ui::PanelViewModel::said);
  EngineReport report = readyReport();
  b.bridge.showReport(report);
  QCOMPARE(said.size(), 0);  // we started this one
  report.found = true;
  b.bridge.showReport(report);
  b.bridge.showReport(report);
  QCOMPARE(said.size(), 1);
  QVERIFY(said[0][0].toString().contains(u"process 4711"));
  b.bridge.showReport(reportOf(EngineLink::Absent));
  QCOMPARE(said.size(), 2);
  QVERIFY(said[1][0].toString().isEmpty());  // it holds no longer
}

void EngineBridgeTest::aStopThatCannotBeCarriedOutIsSaid() {
  Bridged b;
  b.bridge.showReport(readyReport());
  QSignalSpy said(&b.panel, &ui::PanelViewModel::said);
  EngineReport refused = readyReport();
  refused.failure = Error{ErrorCode::PermissionDenied, "the engine belongs to another user", ""};
  b.bridge.showReport(refused);
  b.bridge.showReport(refused);
  QCOMPARE(said.size(), 1);
  QCOMPARE(said[0][0].toString(), QStringLiteral("The engine belongs to another user."));
  QCOMPARE(b.panel.stateWord(), QStringLiteral("Ready"));
}

void EngineBridgeTest::logRecordsArriveInOneBatch() {
  Bridged b;
  QSignalSpy inserted(&b.engine.log(), &QAbstractItemModel::rowsInserted);
  for (std::uint64_t batch = 0; batch < 10; ++batch) {
    std::vector<LogRecord> records;
    for (std::uint64_t i = 1; i <= 100; ++i) {
      records.push_back({batch * 100 + i, 0, 0, LogLevel::Info, "m", "", "text"});
    }
    b.bridge.addLog(records);
  }
  QTRY_COMPARE(b.engine.log().rowCount(), 1000);
  QCOMPARE(inserted.size(), 1);
}

void EngineBridgeTest::aStartIsComparedWithEarlierOnesAndKept() {
  const QTemporaryDir folder;
  app::StartHistory history(folder.filePath(QStringLiteral("history.json")));
  Bridged b;
  ui::EngineBridge bridge({b.panel, b.engine, b.monitor, nullptr}, kCluster, &history);
  const auto startUp = [&bridge](std::int64_t tookMs) {
    bridge.showReport(reportOf(EngineLink::Spawning));
    std::vector<api::PhaseEvent> events = {
        phaseEvent(tookMs, api::Phase::Spawn, 0, api::PhaseEventKind::Begin),
        phaseEvent(tookMs - 100, api::Phase::Spawn, 0, api::PhaseEventKind::End)};
    bridge.takeStartEvents(events, true);
    events.push_back(phaseEvent(tookMs - 100, api::Phase::Api, 0, api::PhaseEventKind::Begin));
    events.push_back(phaseEvent(0, api::Phase::Api, 0, api::PhaseEventKind::End));
    bridge.takeStartEvents(events, false);
    bridge.showReport(readyReport());
  };
  startUp(2000);
  QCOMPARE(b.engine.sentence(), QStringLiteral("Ready in 2.0 s."));
  QCOMPARE(history.usual({}).count, 1);
  bridge.showReport(reportOf(EngineLink::Absent));
  startUp(3000);
  QCOMPARE(b.engine.sentence(), QStringLiteral("Ready in 3.0 s (1.0 s slower than usual)."));
  QCOMPARE(history.usual({}).count, 2);

  // An engine so quick that it is Ready before its events arrive.
  bridge.showReport(reportOf(EngineLink::Absent));
  bridge.showReport(reportOf(EngineLink::Spawning));
  std::vector<api::PhaseEvent> late = {
      phaseEvent(400, api::Phase::Spawn, 0, api::PhaseEventKind::Begin),
      phaseEvent(300, api::Phase::Spawn, 0, api::PhaseEventKind::End)};
  bridge.takeStartEvents(late, true);
  bridge.showReport(readyReport());
  late.push_back(phaseEvent(300, api::Phase::Api, 0, api::PhaseEventKind::Begin));
  bridge.takeStartEvents(late, false);
  QCOMPARE(history.usual({}).count, 2);
  late.push_back(phaseEvent(0, api::Phase::Api, 0, api::PhaseEventKind::End));
  bridge.takeStartEvents(late, false);
  QCOMPARE(history.usual({}).count, 3);
  bridge.showReport(readyReport());
  QCOMPARE(history.usual({}).count, 3);

  // An engine that was found has been started, and counted, by somebody else.
  EngineReport found = readyReport();
  found.found = true;
  bridge.showReport(reportOf(EngineLink::Absent));
  bridge.showReport(found);
  QCOMPARE(history.usual({}).count, 3);
}

void EngineBridgeTest::wordsBecomeSentences_data() {
  QTest::addColumn<QString>("words");
  QTest::addColumn<QString>("sentence");
  QTest::newRow("nothing") << ""
                           << "";
  QTest::newRow("plain") << "port 8000 is taken"
                         << "Port 8000 is taken.";
  QTest::newRow("a path stays") << "/run/user is full"
                                << "/run/user is full.";
  QTest::newRow("a program stays") << "tandem-engine was not found"
                                   << "tandem-engine was not found.";
  QTest::newRow("a whole sentence") << "Try again."
                                    << "Try again.";
}

void EngineBridgeTest::wordsBecomeSentences() {
  QFETCH(QString, words);
  QTEST(ui::sentenceOf(words.toStdString()), "sentence");
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::EngineBridgeTest)
#include "engine_bridge_test.moc"
