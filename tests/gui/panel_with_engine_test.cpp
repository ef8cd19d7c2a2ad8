// SPDX-License-Identifier: GPL-3.0-or-later
// The whole panel with two real ranks: started, watched, asked, lost, found again and stopped by
// it.
#include <signal.h>

#include <algorithm>
#include <memory>
#include <vector>

#include <QApplication>
#include <QFile>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScopeGuard>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include "app/launcher/local_engine_host.h"
#include "tests/gui/find_widgets.h"
#include "tests/gui/panel_fixture.h"
#include "ui/pages/chat/tool_call_view.h"
#include "ui/panel.h"
#include "ui/shell/notice_bar.h"
#include "ui/widgets/status_badge.h"

namespace tandem::test {

namespace {

constexpr int kPatienceMs = 30000;
const QString kStart = QStringLiteral("Start engine");

/// The panel as main() makes it, with a greedy model.
struct LivePanel {
  LivePanel(const app::LocalEngineOptions& engine, const ui::PanelOptions& options)
      : host(engine),
        panel(*qApp, host, options) {
    panel.chatBridge().setTemperature(0);
    window().resize(1400, 900);
    panel.open();
  }

  [[nodiscard]] ui::MainWindow& window() { return panel.window(); }
  [[nodiscard]] const app::EngineReport& report() const { return panel.service().report(); }
  [[nodiscard]] QString stateWord() { return window().findChild<ui::StatusBadge*>()->word(); }
  [[nodiscard]] bool ready() const { return panel.viewModel().engine().ready(); }
  [[nodiscard]] const ui::ChatTurn& lastTurn() const {
    return panel.chat().turn(panel.chat().turnCount() - 1);
  }
  [[nodiscard]] bool answered() const {
    return panel.chat().turnCount() > 0 && !panel.chat().busy();
  }

  /// With the button of the header.
  void press(const QString& name) { onlyChild<QPushButton>(window(), name).click(); }
  void ask(const QString& question) {
    window().showPage(QStringLiteral("chat"));
    auto& edit = onlyChild<QPlainTextEdit>(window(), QStringLiteral("Message"));
    QTest::keyClicks(&edit, question);
    QTest::keyClick(&edit, Qt::Key_Return);
  }
  void keepScreen(const QString& name) { saveScreen(window(), name); }

  app::LocalEngineHost host;
  ui::Panel panel;
};

/// The processes that `pid` has started and not yet lost.
std::vector<pid_t> childrenOf(std::int64_t pid) {
  QFile file(QStringLiteral("/proc/%1/task/%1/children").arg(pid));
  if (!file.open(QIODevice::ReadOnly)) {
    return {};
  }
  std::vector<pid_t> children;
  for (const QByteArray& word : file.readAll().split(' ')) {
    if (!word.trimmed().isEmpty()) {
      children.push_back(word.toInt());
    }
  }
  return children;
}

}  // namespace

class PanelWithEngineTest : public QObject {
  Q_OBJECT

 private slots:
  void initTestCase();
  void cleanup();
  void startBringsTwoRanksToReadyBeforeYourEyes();
  void aQuestionShowsInChatHeaderAndMonitor();
  void twoCitiesAreTwoParallelCalls();
  void anotherWindowFindsTheSameStart();
  void aStartCanBeCancelled();
  void aKilledWorkerEndsTheAnswerWithAReason();
  void aKilledHeadIsAnEngineLost();
  void aStartThatCannotBeSaysWhy();

 private:
  [[nodiscard]] std::unique_ptr<LivePanel> openPanel();
  /// With an engine that is ready, started if there is none.
  [[nodiscard]] std::unique_ptr<LivePanel> openReadyPanel();

  QTemporaryDir folder_;
  app::LocalEngineOptions engine_;
  ui::PanelOptions options_;
};

void PanelWithEngineTest::initTestCase() {
  QVERIFY(folder_.isValid());
  engine_.program = QStringLiteral(TANDEM_ENGINE);
  engine_.modelFolder = QStringLiteral(TANDEM_SOURCE_DIR "/resources/demo-model");
  engine_.port = 0;
  engine_.runFolder = folder_.filePath(QStringLiteral("run"));
  engine_.logFolder = folder_.filePath(QStringLiteral("log"));
  options_.historyFile = folder_.filePath(QStringLiteral("starts.json"));
}

void PanelWithEngineTest::cleanup() {
  // Nothing may outlive a failed test. Waiting for the end keeps the next test from meeting it.
  app::LocalEngineHost host(engine_);
  QVERIFY(host.terminate(true).ok());
  QTRY_VERIFY_WITH_TIMEOUT(!host.find(), kPatienceMs);
}

std::unique_ptr<LivePanel> PanelWithEngineTest::openPanel() {
  return std::make_unique<LivePanel>(engine_, options_);
}

std::unique_ptr<LivePanel> PanelWithEngineTest::openReadyPanel() {
  auto live = openPanel();
  live->window().showPage(QStringLiteral("monitor"));  // one Start button: that of the header
  live->press(kStart);
  [&] { QTRY_VERIFY_WITH_TIMEOUT(live->ready() && live->panel.chat().available(), kPatienceMs); }();
  return live;
}

void PanelWithEngineTest::startBringsTwoRanksToReadyBeforeYourEyes() {
  const auto live = openPanel();
  QCOMPARE(live->stateWord(), QStringLiteral("Stopped"));
  QCOMPARE(live->window().currentPage(), QStringLiteral("engine"));
  QVERIFY(!live->panel.chat().available());

  // A start of the demo model can be over after a picture or two: the head is held at the first
  // one.
  pid_t held = 0;
  std::vector<double> pictured;  // the right edge of every picture of a running start
  const auto letGo = qScopeGuard([&held] {
    if (held > 0) {
      ::kill(held, SIGCONT);
    }
  });
  connect(&live->panel.engine(), &ui::EngineViewModel::changed, this, [&] {
    const ui::TimelinePicture& picture = live->panel.engine().picture();
    if (!picture.moving) {
      return;
    }
    if (held == 0) {
      held = static_cast<pid_t>(live->report().pid);
      ::kill(held, SIGSTOP);
    }
    pictured.push_back(picture.now);
  });
  const auto buttons = visibleChildren<QPushButton>(live->window(), kStart);
  QCOMPARE(buttons.size(), std::size_t{2});  // the page's and the header's
  buttons[1]->click();
  QTRY_VERIFY_WITH_TIMEOUT(pictured.size() >= 3, kPatienceMs);
  QVERIFY(held > 0);
  QVERIFY(std::is_sorted(pictured.begin(), pictured.end()) && pictured.back() > pictured.front());
  ::kill(held, SIGCONT);
  QTRY_COMPARE_WITH_TIMEOUT(live->stateWord(), QStringLiteral("Ready"), kPatienceMs);
  // The last picture is drawn after the state has changed. The total, the head and the worker:
  const auto drawnLanes = [&live] {
    const auto& lanes = live->panel.engine().picture().lanes;
    return std::count_if(lanes.begin(), lanes.end(), [](const auto& lane) {
      return !lane.bars.empty();
    });
  };
  QTRY_COMPARE(drawnLanes(), 3);
  QTRY_VERIFY_WITH_TIMEOUT(live->panel.viewModel().memoryText(1).endsWith(u"MiB"), kPatienceMs);
  QVERIFY(live->panel.viewModel().memoryText(0).endsWith(u"MiB"));
  QVERIFY2(live->panel.engine().sentence().startsWith(u"Ready in "),
           qPrintable(live->panel.engine().sentence()));
  QVERIFY(shownLabels(live->window()).contains(live->report().endpoint));
  QVERIFY(live->panel.engine().phases().rowCount() >= 10);
  QTRY_VERIFY(live->panel.engine().log().rowCount() > 0);
  live->keepScreen(QStringLiteral("live-engine-ready"));
  qInfo("%s", qPrintable(live->panel.engine().sentence()));

  live->press(QStringLiteral("Stop engine"));
  QTRY_COMPARE_WITH_TIMEOUT(live->stateWord(), QStringLiteral("Stopped"), kPatienceMs);
  QTRY_VERIFY_WITH_TIMEOUT(!live->host.find(), kPatienceMs);
  live->press(kStart);
  QTRY_VERIFY_WITH_TIMEOUT(live->ready(), kPatienceMs);
  // The second start knows the first.
  QTRY_VERIFY2(live->panel.engine().sentence().contains(u"usual"),
               qPrintable(live->panel.engine().sentence()));
  live->keepScreen(QStringLiteral("live-engine-again"));
}

void PanelWithEngineTest::aQuestionShowsInChatHeaderAndMonitor() {
  const auto live = openReadyPanel();
  bool measured = false;
  connect(&live->panel.viewModel(), &ui::PanelViewModel::changed, this, [&] {
    const auto& stats = live->panel.viewModel().engine().stats;
    measured = measured || (stats && stats->decodeTokensPerSecond > 0);
  });
  live->ask(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(live->answered() && measured, kPatienceMs);
  QVERIFY(live->lastTurn().stage == ui::TurnStage::Finished);
  QVERIFY(!live->lastTurn().text.isEmpty());
  live->window().showPage(QStringLiteral("monitor"));
  QVERIFY(live->panel.monitor().live());
  QTRY_VERIFY_WITH_TIMEOUT(
      live->panel.monitor().series(ui::MonitorViewModel::WorkerMemory).size() >= 4,
      kPatienceMs);
  live->keepScreen(QStringLiteral("live-monitor"));
}

void PanelWithEngineTest::twoCitiesAreTwoParallelCalls() {
  const auto live = openReadyPanel();
  live->window().showPage(QStringLiteral("chat"));
  onlyChild<QAbstractButton>(live->window(), QStringLiteral("Weather tool")).click();
  live->ask(QStringLiteral("What is the weather in Tokyo and New York?"));
  QTRY_VERIFY_WITH_TIMEOUT(live->answered(), kPatienceMs);
  QTRY_COMPARE(visibleChildren<ui::ToolCallView>(live->window()).size(), std::size_t{2});
  const auto arguments = visibleChildren<QLabel>(live->window(), QStringLiteral("Arguments"));
  QCOMPARE(arguments.size(), std::size_t{2});
  QCOMPARE(arguments[0]->text(), QStringLiteral("city: Tokyo"));
  QCOMPARE(arguments[1]->text(), QStringLiteral("city: New York"));
  live->keepScreen(QStringLiteral("live-calls"));
}

void PanelWithEngineTest::anotherWindowFindsTheSameStart() {
  auto first = openReadyPanel();
  const std::int64_t pid = first->report().pid;
  const ui::TimelinePicture before = first->panel.engine().picture();
  first->window().close();
  first.reset();
  QVERIFY(app::LocalEngineHost(engine_).find());

  ui::PanelOptions fresh = options_;
  fresh.welcome = true;  // an engine that runs is no first run
  LivePanel second(engine_, fresh);
  QTRY_VERIFY_WITH_TIMEOUT(second.ready() && second.panel.chat().available(), kPatienceMs);
  QCOMPARE(second.window().currentPage(), QStringLiteral("engine"));
  QCOMPARE(second.report().pid, pid);
  QVERIFY(shownLabels(second.window()).contains(QStringLiteral("process %1").arg(pid)));
  // What the engine tells of its own phases is the same; Spawn was the first window's.
  const auto barsOf = [](const ui::TimelinePicture& picture, const QString& name) {
    std::vector<QString> bars;
    for (const ui::TimelineLane& lane : picture.lanes) {
      for (const ui::TimelineBar& bar : lane.bars) {
        if (lane.name == name) {
          bars.push_back(bar.label);
        }
      }
    }
    return bars;
  };
  for (const QString& name : {QStringLiteral("Head"), QStringLiteral("Worker")}) {
    QVERIFY(!barsOf(before, name).empty());
    QTRY_COMPARE(barsOf(second.panel.engine().picture(), name), barsOf(before, name));
  }
  second.keepScreen(QStringLiteral("live-engine-found"));
  second.press(QStringLiteral("Stop engine"));
  QTRY_COMPARE_WITH_TIMEOUT(second.stateWord(), QStringLiteral("Stopped"), kPatienceMs);
  QTRY_VERIFY_WITH_TIMEOUT(!second.host.find(), kPatienceMs);
}

void PanelWithEngineTest::aStartCanBeCancelled() {
  const auto live = openPanel();
  live->window().showPage(QStringLiteral("monitor"));
  live->press(kStart);
  QCOMPARE(live->stateWord(), QStringLiteral("Starting"));
  live->press(QStringLiteral("Cancel start"));
  QTRY_COMPARE_WITH_TIMEOUT(live->stateWord(), QStringLiteral("Stopped"), kPatienceMs);
  QTRY_VERIFY_WITH_TIMEOUT(!live->host.find(), kPatienceMs);
  for (const ui::TimelineLane& lane : live->panel.engine().picture().lanes) {
    for (const ui::TimelineBar& bar : lane.bars) {
      QVERIFY2(bar.state != ui::BarState::Failed, qPrintable(bar.name));
    }
  }
  live->window().showPage(QStringLiteral("engine"));
  live->keepScreen(QStringLiteral("live-engine-cancelled"));
}

void PanelWithEngineTest::aKilledWorkerEndsTheAnswerWithAReason() {
  const auto live = openReadyPanel();
  live->ask(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(!live->lastTurn().fromUser && !live->lastTurn().text.isEmpty(),
                           kPatienceMs);
  QVERIFY(live->panel.chat().busy());
  const std::vector<pid_t> workers = childrenOf(live->report().pid);
  QCOMPARE(workers.size(), std::size_t{1});
  ::kill(workers[0], SIGKILL);
  QTRY_VERIFY_WITH_TIMEOUT(live->answered(), 5000);
  QVERIFY(live->lastTurn().stage == ui::TurnStage::Failed);
  QVERIFY(!live->lastTurn().text.isEmpty());
  QVERIFY(!live->lastTurn().error.what.isEmpty());
  QTRY_COMPARE_WITH_TIMEOUT(live->stateWord(), QStringLiteral("Failed"), kPatienceMs);
  QTRY_VERIFY_WITH_TIMEOUT(!live->host.find(), kPatienceMs);
  QVERIFY(!live->panel.chat().available());
  live->keepScreen(QStringLiteral("live-chat-worker-killed"));
  live->window().showPage(QStringLiteral("engine"));
  QCOMPARE(live->panel.engine().headline(), QStringLiteral("The engine stopped with an error"));
  QVERIFY2(live->panel.engine().sentence().contains(u"signal 9") ||
               live->panel.engine().sentence().contains(u"ank 1"),
           qPrintable(live->panel.engine().sentence()));
  qInfo("%s | %s",
        qPrintable(live->lastTurn().error.what),
        qPrintable(live->panel.engine().sentence()));
  live->keepScreen(QStringLiteral("live-engine-worker-killed"));

  // And on with the same window.
  live->window().showPage(QStringLiteral("chat"));
  live->press(kStart);
  QTRY_VERIFY_WITH_TIMEOUT(live->ready() && live->panel.chat().available(), kPatienceMs);
  live->press(QStringLiteral("Retry"));
  QTRY_VERIFY_WITH_TIMEOUT(live->answered(), kPatienceMs);
  QVERIFY(live->lastTurn().stage == ui::TurnStage::Finished);
}

void PanelWithEngineTest::aKilledHeadIsAnEngineLost() {
  const auto live = openReadyPanel();
  live->ask(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(!live->lastTurn().fromUser && !live->lastTurn().text.isEmpty(),
                           kPatienceMs);
  ::kill(static_cast<pid_t>(live->report().pid), SIGKILL);
  QTRY_VERIFY_WITH_TIMEOUT(live->answered(), 5000);
  QVERIFY(live->lastTurn().stage == ui::TurnStage::Failed);
  QTRY_COMPARE_WITH_TIMEOUT(live->stateWord(), QStringLiteral("Engine lost"), kPatienceMs);
  live->window().showPage(QStringLiteral("engine"));
  QVERIFY2(live->panel.engine().sentence().contains(u"signal 9"),
           qPrintable(live->panel.engine().sentence()));
  live->keepScreen(QStringLiteral("live-engine-lost"));
}

void PanelWithEngineTest::aStartThatCannotBeSaysWhy() {
  app::LocalEngineOptions engine = engine_;
  engine.modelFolder = folder_.filePath(QStringLiteral("no-model"));
  LivePanel live(engine, options_);
  live.window().showPage(QStringLiteral("monitor"));
  live.press(kStart);
  QTRY_COMPARE_WITH_TIMEOUT(live.stateWord(), QStringLiteral("Failed"), kPatienceMs);
  live.window().showPage(QStringLiteral("engine"));
  QCOMPARE(live.panel.engine().headline(), QStringLiteral("The engine failed to start"));
  QVERIFY2(shownLabels(live.window()).contains(u"no-model"),
           qPrintable(shownLabels(live.window())));
  live.keepScreen(QStringLiteral("live-engine-no-model"));
}

}  // namespace tandem::test

QTEST_MAIN(tandem::test::PanelWithEngineTest)
#include "panel_with_engine_test.moc"
