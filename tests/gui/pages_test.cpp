// SPDX-License-Identifier: GPL-3.0-or-later
// Every page in each of its states, in both themes, by keyboard and by accessible name.
#include <QAbstractButton>
#include <QAbstractItemView>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTest>

#include "tests/gui/panel_fixture.h"
#include "ui/pages/chat/markdown_view.h"
#include "ui/pages/chat/turn_view.h"
#include "ui/pages/engine/timeline_view.h"
#include "ui/shell/first_run_card.h"
#include "ui/widgets/metric_chart.h"
#include "ui/widgets/share_rows.h"
#include "ui/widgets/split_bar.h"
#include "ui/widgets/status_badge.h"

namespace tandem::test {

namespace {

template <typename T>
T* visibleChild(QWidget& root, const QString& accessibleName) {
  for (T* child : root.findChildren<T*>()) {
    if (child->isVisible() && child->accessibleName() == accessibleName) {
      return child;
    }
  }
  return nullptr;
}

QStringList visibleTexts(QWidget& root) {
  QStringList texts;
  for (const QLabel* label : root.findChildren<QLabel*>()) {
    if (label->isVisible()) {
      texts << label->text();
    }
  }
  return texts;
}

}  // namespace

class PagesTest : public QObject {
  Q_OBJECT

 private slots:
  void screensOfEveryStateAreKept_data();
  void screensOfEveryStateAreKept();
  void headerSaysWhatTheEngineIs_data();
  void headerSaysWhatTheEngineIs();
  void everyControlHasAnAccessibleName();
  void tabReachesEveryControlOfEachPage();
  void focusIsDrawn();
  void digitsWithControlOpenThePages();
  void selectingABarScrollsTheLogToItsRank();
  void logFiltersByRankLevelAndText();
  void returnSendsAndShiftReturnStartsALine();
  void escapeStopsTheAnswer();
  void toolResultsAreEditedAndSentTogether();
  void failedAnswerSaysWhyAndOffersRetry();
  void chartDescribesItsValues();
  void monitorDescribesCacheAndDrafts();
  void firstRunOffersTheDemo();
  void textSizeChangesEverywhere();
};

void PagesTest::screensOfEveryStateAreKept_data() {
  QTest::addColumn<QString>("page");
  QTest::addColumn<QString>("state");
  for (const char* state : {"stopped", "starting", "ready", "failed"}) {
    QTest::newRow(state) << "engine" << state;
  }
  QTest::newRow("table") << "engine"
                         << "table";
  for (const char* state : {"unavailable", "empty", "answers", "thinking", "tools", "error"}) {
    QTest::newRow(state) << "chat" << state;
  }
  QTest::newRow("monitor empty") << "monitor"
                                 << "empty";
  QTest::newRow("monitor live") << "monitor"
                                << "live";
  QTest::newRow("monitor guard") << "monitor"
                                 << "guard";
  QTest::newRow("monitor after") << "monitor"
                                 << "after";
  QTest::newRow("first run") << "first-run"
                             << "card";
}

void PagesTest::screensOfEveryStateAreKept() {
  QFETCH(QString, page);
  QFETCH(QString, state);
  PanelFixture f;
  f.panel.setEngine(stoppedEngine());
  f.chat.setAvailable(false, QStringLiteral("Start the engine to chat"));
  if (page == u"first-run") {
    f.window.showFirstRun();
  } else {
    QVERIFY(f.window.showPage(page));
  }
  if (page == u"chat" || state == u"live" || state == u"guard" || state == u"ready") {
    f.panel.setEngine(readyEngine());
    f.chat.setAvailable(state != u"unavailable",
                        state != u"unavailable" ? QStringLiteral("Message the model")
                                                : QStringLiteral("Start the engine to chat"));
  }
  if (page == u"engine" && state != u"stopped") {
    fillLog(f.engine);
    f.engine.setStart(state == u"starting" ? sampleStart(2.1)
                      : state == u"failed" ? failedStart()
                                           : finishedStart());
    f.panel.setEngine(state == u"starting" ? startingEngine()
                      : state == u"failed" ? failedEngine()
                                           : readyEngine());
  }
  if (state == u"table") {
    for (QAbstractButton* button : f.window.findChildren<QAbstractButton*>()) {
      if (button->accessibleName() == u"Phase table") {
        button->click();
      }
    }
  }
  if (page == u"chat" && state != u"empty" && state != u"unavailable") {
    f.chat.setTurn(0, userTurn(QStringLiteral("What is Tandem?")));
    f.chat.setTurn(1, markdownTurn());
  }
  if (state == u"thinking") {
    f.chat.setTurn(2, userTurn(QStringLiteral("And what is 17 + 25?")));
    ui::ChatTurn turn;
    turn.stage = ui::TurnStage::Thinking;
    turn.reasoning = QStringLiteral("17 + 25: first 17 + 20 = 37, then 37 + 5");
    turn.progress = QStringLiteral("Thinking 00:02 · 24 tokens");
    f.chat.setTurn(3, turn);
  }
  if (state == u"tools") {
    f.chat.setWeatherTool(true);
    f.chat.setTurn(2, userTurn(QStringLiteral("What is the weather in Tokyo and New York?")));
    f.chat.setTurn(3, weatherTurn(false));
  }
  if (state == u"error") {
    f.chat.setTurn(2, userTurn(QStringLiteral("Tell me a long story.")));
    ui::ChatTurn turn;
    turn.text = QStringLiteral("Once there were two machines on one desk, and a cable");
    turn.stage = ui::TurnStage::Failed;
    turn.error = {QStringLiteral("The worker went away while it answered."),
                  QStringLiteral("The text so far is kept. Start the engine again, then retry.")};
    f.chat.setTurn(3, turn);
  }
  if (page == u"monitor" && state != u"empty") {
    for (int second = 0; second < 240; ++second) {
      const double decode = second % 60 < 40 ? 58 + (second * 7) % 9 : 0;
      f.monitor.addStats(
          sampleStats(1'000'000 + second * 1000, decode, second % 60 == 0 ? 412 : 0));
    }
    if (state == u"guard") {
      api::EngineStats stats = sampleStats(1'240'000, 61.4, 0);
      stats.memoryGuard = {api::MemoryGuardState::Shrinking,
                           "Worker has 2.1 GiB left; 3.0 GiB must stay."};
      f.monitor.addStats(stats);
    }
    f.monitor.setLive(state != u"after");
  }
  for (const QSize size : {QSize(1024, 700), QSize(1480, 940)}) {
    f.window.resize(size);
    f.window.show();
    QVERIFY(QTest::qWaitForWindowExposed(&f.window));
    for (const ui::ThemeMode mode : {ui::ThemeMode::Dark, ui::ThemeMode::Light}) {
      f.theme.setMode(mode);
      QTest::qWait(130);
      saveScreen(
          f.window,
          QStringLiteral("%1-%2-%3-%4")
              .arg(page,
                   state,
                   mode == ui::ThemeMode::Dark ? QStringLiteral("dark") : QStringLiteral("light"))
              .arg(size.width()));
      // The page's ground must be the theme's, whatever is on it.
      const QColor corner =
          f.window.grab().toImage().pixelColor(f.window.width() - 6, f.window.height() - 6);
      QCOMPARE(corner, f.theme.palette().ground);
    }
  }
}

void PagesTest::headerSaysWhatTheEngineIs_data() {
  QTest::addColumn<int>("which");
  QTest::addColumn<QString>("word");
  QTest::addColumn<QString>("action");
  QTest::newRow("stopped") << 0 << "Stopped"
                           << "Start engine";
  QTest::newRow("starting") << 1 << "Starting"
                            << "Cancel start";
  QTest::newRow("ready") << 2 << "Ready"
                         << "Stop engine";
  QTest::newRow("failed") << 3 << "Failed"
                          << "Start engine";
}

void PagesTest::headerSaysWhatTheEngineIs() {
  QFETCH(int, which);
  QFETCH(QString, word);
  QFETCH(QString, action);
  PanelFixture f;
  const ui::EngineSnapshot engines[] = {stoppedEngine(),
                                        startingEngine(),
                                        readyEngine(),
                                        failedEngine()};
  f.panel.setEngine(engines[which]);
  f.window.show();
  QCOMPARE(f.window.findChild<ui::StatusBadge*>()->word(), word);
  QVERIFY(visibleChild<QPushButton>(f.window, action) != nullptr);
  QCOMPARE(visibleChild<QAbstractButton>(f.window, QStringLiteral("Copy endpoint")) != nullptr,
           which == 2);
  if (which == 2) {
    QVERIFY(visibleTexts(f.window).contains(QStringLiteral("62.1 tok/s")));
    QVERIFY(visibleTexts(f.window).contains(QStringLiteral("44.0 MiB")));
  }
  if (which == 3) {
    QVERIFY(visibleTexts(f.window).join(QLatin1Char('\n')).contains(QStringLiteral("pid 4121")));
  }
}

void PagesTest::everyControlHasAnAccessibleName() {
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  f.engine.setStart(finishedStart());
  f.chat.setTurn(0, userTurn(QStringLiteral("Hello")));
  f.chat.setTurn(1, weatherTurn(false));
  f.window.show();
  for (const ui::PageEntry& page : ui::allPages()) {
    QVERIFY(f.window.showPage(page.id));
    for (const QWidget* child : f.window.findChildren<QWidget*>()) {
      if (child->isVisible() && child->focusPolicy() != Qt::NoFocus && child->isEnabled() &&
          child->focusProxy() == nullptr && !child->inherits("QScrollBar") &&
          !child->inherits("QHeaderView")) {
        QVERIFY2(!child->accessibleName().isEmpty() ||
                     child->inherits("QLabel"),  // a selectable label is its text
                 qPrintable(page.id + QLatin1Char(' ') +
                            QLatin1String(child->metaObject()->className())));
      }
    }
  }
}

void PagesTest::tabReachesEveryControlOfEachPage() {
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  f.chat.setAvailable(true, QStringLiteral("Message"));
  f.engine.setStart(finishedStart());
  fillLog(f.engine);
  f.chat.setTurn(0, userTurn(QStringLiteral("Hello")));
  f.chat.setTurn(1, weatherTurn(false));
  f.window.show();
  f.window.activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(&f.window));
  for (const ui::PageEntry& page : ui::allPages()) {
    QVERIFY(f.window.showPage(page.id));
    QSet<QWidget*> wanted;
    for (QWidget* child : f.window.findChildren<QWidget*>()) {
      if (child->isVisible() && child->isEnabled() &&
          (qobject_cast<QAbstractButton*>(child) || qobject_cast<QComboBox*>(child) ||
           qobject_cast<QLineEdit*>(child) || qobject_cast<QPlainTextEdit*>(child)) &&
          (child->focusPolicy() & Qt::TabFocus) != 0) {
        wanted.insert(child);
      }
    }
    QVERIFY(wanted.size() >= 4);
    for (int i = 0; i < 200 && !wanted.isEmpty(); ++i) {
      if (QWidget* now = QApplication::focusWidget()) {
        wanted.remove(now);
      }
      QTest::keyClick(QApplication::focusWidget() ? QApplication::focusWidget() : &f.window,
                      Qt::Key_Tab);
    }
    // Of a group of exclusive buttons Tab reaches the checked one, arrows the others.
    for (auto it = wanted.begin(); it != wanted.end();) {
      const auto* button = qobject_cast<QAbstractButton*>(*it);
      it = button != nullptr && button->group() != nullptr ? wanted.erase(it) : std::next(it);
    }
    QVERIFY2(wanted.isEmpty(),
             qPrintable(page.id + QStringLiteral(": Tab does not reach ") +
                        (wanted.isEmpty() ? QString() : (*wanted.begin())->accessibleName())));
  }
}

void PagesTest::focusIsDrawn() {
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  f.window.show();
  f.window.activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(&f.window));
  auto* button = visibleChild<QAbstractButton>(f.window, QStringLiteral("Copy endpoint"));
  QVERIFY(button != nullptr);
  f.window.setFocus();
  const QImage before = button->grab().toImage();
  button->setFocus(Qt::TabFocusReason);
  QTRY_VERIFY(button->hasFocus());
  QVERIFY(button->grab().toImage() != before);
}

void PagesTest::digitsWithControlOpenThePages() {
  PanelFixture f;
  f.window.show();
  f.window.activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(&f.window));
  QTest::keyClick(&f.window, Qt::Key_3, Qt::ControlModifier);
  QCOMPARE(f.window.currentPage(), QStringLiteral("monitor"));
  QTest::keyClick(&f.window, Qt::Key_2, Qt::ControlModifier);
  QCOMPARE(f.window.currentPage(), QStringLiteral("chat"));
  QTest::keyClick(&f.window, Qt::Key_1, Qt::ControlModifier);
  QCOMPARE(f.window.currentPage(), QStringLiteral("engine"));
}

void PagesTest::selectingABarScrollsTheLogToItsRank() {
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  f.engine.setStart(finishedStart());
  fillLog(f.engine);
  f.window.show();
  auto* timeline = f.window.findChild<ui::TimelineView*>();
  QCOMPARE(timeline->picture().lanes.size(), std::size_t{3});
  const int all = f.engine.log().rowCount();
  QTest::keyClick(timeline, Qt::Key_Down);
  QTest::keyClick(timeline, Qt::Key_Down);
  QTest::keyClick(timeline, Qt::Key_Down);  // the worker's lane
  QVERIFY(f.engine.log().rowCount() < all);
  for (int row = 0; row < f.engine.log().rowCount(); ++row) {
    QCOMPARE(f.engine.log().index(row).data(ui::LogModel::RankRole).toInt(), 1);
  }
  QTest::keyClick(timeline, Qt::Key_Escape);
  QCOMPARE(f.engine.log().rowCount(), all);
}

void PagesTest::logFiltersByRankLevelAndText() {
  PanelFixture f;
  fillLog(f.engine);
  f.window.show();
  auto* level = visibleChild<QComboBox>(f.window, QStringLiteral("Show log levels"));
  auto* text = visibleChild<QLineEdit>(f.window, QStringLiteral("Filter log by text"));
  QVERIFY(level != nullptr && text != nullptr);
  level->setCurrentIndex(2);
  QCOMPARE(f.engine.log().rowCount(), 2);
  QTest::keyClicks(text, QStringLiteral("PYTHON3"));
  QCOMPARE(f.engine.log().rowCount(), 1);
  QVERIFY(f.engine.log().lineText(0).contains(QStringLiteral("error http: port 8000")));
  text->setText(QStringLiteral("no such line"));
  QVERIFY(visibleTexts(f.window).contains(QStringLiteral("No log line passes this filter.")));
}

void PagesTest::returnSendsAndShiftReturnStartsALine() {
  PanelFixture f;
  f.chat.setAvailable(true, QStringLiteral("Message"));
  QVERIFY(f.window.showPage(QStringLiteral("chat")));
  f.window.show();
  auto* edit = visibleChild<QPlainTextEdit>(f.window, QStringLiteral("Message"));
  QVERIFY(edit != nullptr);
  QSignalSpy sent(&f.chat, &ui::ChatViewModel::sendRequested);
  QTest::keyClicks(edit, QStringLiteral("one"));
  QTest::keyClick(edit, Qt::Key_Return, Qt::ShiftModifier);
  QTest::keyClicks(edit, QStringLiteral("two"));
  QCOMPARE(sent.size(), 0);
  QTest::keyClick(edit, Qt::Key_Return, Qt::ControlModifier);
  QCOMPARE(sent.size(), 1);
  QCOMPARE(sent.at(0).at(0).toString(), QStringLiteral("one\ntwo"));
  QVERIFY(edit->toPlainText().isEmpty());
  QTest::keyClick(edit, Qt::Key_Return);  // nothing to send
  QCOMPARE(sent.size(), 1);
}

void PagesTest::escapeStopsTheAnswer() {
  PanelFixture f;
  f.chat.setAvailable(true, QStringLiteral("Message"));
  QVERIFY(f.window.showPage(QStringLiteral("chat")));
  f.window.show();
  f.window.activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(&f.window));
  QSignalSpy stopped(&f.chat, &ui::ChatViewModel::stopRequested);
  auto* edit = visibleChild<QPlainTextEdit>(f.window, QStringLiteral("Message"));
  QTest::keyClick(edit, Qt::Key_Escape);
  QCOMPARE(stopped.size(), 0);
  ui::ChatTurn turn;
  turn.stage = ui::TurnStage::Answering;
  f.chat.setTurn(0, userTurn(QStringLiteral("Hello")));
  f.chat.setTurn(1, turn);
  QTest::keyClick(edit, Qt::Key_Escape);
  QCOMPARE(stopped.size(), 1);
  auto* button = visibleChild<QPushButton>(f.window, QStringLiteral("Stop the answer"));
  QVERIFY(button != nullptr);
  QTest::mouseClick(button, Qt::LeftButton);
  QCOMPARE(stopped.size(), 2);
}

void PagesTest::toolResultsAreEditedAndSentTogether() {
  PanelFixture f;
  f.chat.setTurn(0, userTurn(QStringLiteral("Weather?")));
  f.chat.setTurn(1, weatherTurn(false));
  QVERIFY(f.window.showPage(QStringLiteral("chat")));
  f.window.show();
  std::vector<ui::ToolResult> results;
  connect(&f.chat,
          &ui::ChatViewModel::resultsRequested,
          this,
          [&](const std::vector<ui::ToolResult>& sent) { results = sent; });
  auto* first = visibleChild<QPlainTextEdit>(f.window, QStringLiteral("Tool result"));
  QVERIFY(first != nullptr);
  first->setPlainText(QStringLiteral("{\"temperature_c\": 31}"));
  auto* send = visibleChild<QPushButton>(f.window, QStringLiteral("Send results to the model"));
  QVERIFY(send != nullptr);
  send->click();
  QCOMPARE(results.size(), std::size_t{2});
  QCOMPARE(results[0].callId, QStringLiteral("call_0"));
  QCOMPARE(results[0].content, QStringLiteral("{\"temperature_c\": 31}"));
  QCOMPARE(results[1].content, weatherTurn(false).calls[1].result);
  f.chat.setTurn(1, weatherTurn(true));
  QVERIFY(!send->isVisible());
}

void PagesTest::failedAnswerSaysWhyAndOffersRetry() {
  PanelFixture f;
  QVERIFY(f.window.showPage(QStringLiteral("chat")));
  f.window.show();
  ui::ChatTurn turn;
  turn.text = QStringLiteral("Half an answer");
  turn.stage = ui::TurnStage::Failed;
  turn.error = {QStringLiteral("The worker went away."), QStringLiteral("Start it again.")};
  f.chat.setTurn(0, userTurn(QStringLiteral("Hello")));
  f.chat.setTurn(1, turn);
  QTRY_VERIFY(visibleTexts(f.window).contains(turn.error.what));
  QVERIFY(visibleTexts(f.window).contains(turn.error.remedy));
  QCOMPARE(f.window.findChild<ui::MarkdownView*>()->toPlainText(), turn.text);
  QSignalSpy again(&f.chat, &ui::ChatViewModel::regenerateRequested);
  visibleChild<QPushButton>(f.window, QStringLiteral("Retry"))->click();
  QCOMPARE(again.size(), 1);
}

void PagesTest::chartDescribesItsValues() {
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  QVERIFY(f.window.showPage(QStringLiteral("monitor")));
  f.window.show();
  for (int second = 1; second <= 3; ++second) {
    f.monitor.addStats(sampleStats(1000 * second, 50 + second, 0));
  }
  ui::MetricChart* decode =
      visibleChild<ui::MetricChart>(f.window, QStringLiteral("Decode speed, tokens per second"));
  QVERIFY(decode != nullptr);
  QTRY_COMPARE(decode->accessibleDescription(),
               QStringLiteral("decode: now 53.0, lowest 51.0, highest 53.0"));
}

void PagesTest::monitorDescribesCacheAndDrafts() {
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  QVERIFY(f.window.showPage(QStringLiteral("monitor")));
  f.window.show();
  api::EngineStats stats = sampleStats(1'000'000, 60, 0);
  f.monitor.addStats(stats);
  stats.wallMs += 60'000;
  stats.drafts = {{100, 50, 10}, {90, 40, 1}};
  stats.memoryGuard = {api::MemoryGuardState::Holding, "Head has 2.1 GiB left."};
  f.monitor.addStats(stats);
  auto* kv = visibleChild<ui::SplitBar>(f.window, QStringLiteral("KV cache in tokens"));
  QVERIFY(kv != nullptr);
  QCOMPARE(kv->accessibleDescription(),
           QStringLiteral("live 1,024, kept for reuse 5,632, free 9,728"));
  auto* drafts =
      visibleChild<ui::ShareRows>(f.window,
                                  QStringLiteral("Accepted drafted tokens by place in the draft"));
  QVERIFY(drafts != nullptr);
  QCOMPARE(drafts->accessibleDescription(), QStringLiteral("1st 90 %, 2nd 80 %, 3rd 10 %"));
  const QString texts = visibleTexts(f.window).join(QLatin1Char('\n'));
  QVERIFY2(texts.contains(QStringLiteral("no new request starts. Head has 2.1 GiB left.")),
           qPrintable(texts));
  // What is painted follows the values: a longer live part is seen.
  const QImage before = kv->grab().toImage();
  stats.wallMs += 1000;
  stats.kvBlocks = {256, 64, 40, 12, 12};
  f.monitor.addStats(stats);
  QVERIFY(kv->grab().toImage() != before);
  // A stopped engine guards nothing.
  f.monitor.setLive(false);
  QVERIFY(!visibleTexts(f.window)
               .join(QLatin1Char('\n'))
               .contains(QStringLiteral("no new request starts")));
}

void PagesTest::firstRunOffersTheDemo() {
  PanelFixture f;
  f.window.showFirstRun();
  f.window.show();
  QVERIFY(f.window.currentPage().isEmpty());
  QSignalSpy chosen(&f.window, &ui::MainWindow::demoChosen);
  auto* pair = f.window.findChild<ui::FirstRunCard*>()->findChild<QPushButton*>();
  QVERIFY(!pair->isEnabled());
  visibleChild<QPushButton>(f.window, QStringLiteral("Look around with the demo"))->click();
  QCOMPARE(chosen.size(), 1);
  QCOMPARE(f.window.currentPage(), QStringLiteral("engine"));
}

void PagesTest::textSizeChangesEverywhere() {
  PanelFixture f;
  f.window.show();
  f.window.activateWindow();
  QVERIFY(QTest::qWaitForWindowActive(&f.window));
  const int before = f.theme.font(ui::TextRole::Body).pixelSize();
  QTest::keyClick(&f.window, Qt::Key_Equal, Qt::ControlModifier);
  QTest::keyClick(&f.window, Qt::Key_Equal, Qt::ControlModifier);
  QVERIFY(f.theme.font(ui::TextRole::Body).pixelSize() > before);
  QTest::keyClick(&f.window, Qt::Key_0, Qt::ControlModifier);
  QCOMPARE(f.theme.font(ui::TextRole::Body).pixelSize(), before);
}

}  // namespace tandem::test

QTEST_MAIN(tandem::test::PagesTest)
#include "pages_test.moc"
