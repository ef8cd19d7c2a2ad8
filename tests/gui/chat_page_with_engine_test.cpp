// SPDX-License-Identifier: GPL-3.0-or-later
// The Chat page in the real window, talking to two real ranks of the demo model.
#include <memory>

#include <QAbstractButton>
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QRegularExpression>
#include <QTest>

#include "tests/gui/find_widgets.h"
#include "tests/gui/panel_fixture.h"
#include "tests/support/engine_process.h"
#include "ui/bridge/chat_bridge.h"
#include "ui/pages/chat/markdown_view.h"
#include "ui/pages/chat/tool_call_view.h"
#include "ui/pages/chat/turn_view.h"

namespace tandem::test {

class ChatPageWithEngineTest : public QObject {
  Q_OBJECT

 private slots:
  void initTestCase();
  void thePageOpensOnceTheModelIsKnown();
  void twoCitiesAreAskedAndAnswered();
  void reasoningIsFoldedAndCounted();
  void stopKeepsWhatWasWritten();
  void aKilledEngineLeavesTheTextAndAReason();

 private:
  [[nodiscard]] QUrl base() const;

  std::unique_ptr<Engine> engine_;
  quint16 port_ = 0;
};

namespace {

/// The window on its Chat page, with a greedy model behind it.
struct LiveChat {
  explicit LiveChat(const QUrl& base) {
    ui::EngineSnapshot engine = readyEngine();
    engine.endpoint = base.toString();
    engine.stats.reset();  // nobody measures here
    f.panel.setEngine(engine);
    f.window.showPage(QStringLiteral("chat"));
    f.window.resize(1280, 900);
    f.window.show();
    bridge.setTemperature(0);
    bridge.setEndpoint(base);
  }

  void type(const QString& text) {
    auto& edit = onlyChild<QPlainTextEdit>(f.window, QStringLiteral("Message"));
    QTest::keyClicks(&edit, text);
    QTest::keyClick(&edit, Qt::Key_Return);
  }
  void toggle(const QString& name) { onlyChild<QAbstractButton>(f.window, name).click(); }
  [[nodiscard]] bool over() const { return f.chat.turnCount() > 0 && !f.chat.busy(); }
  [[nodiscard]] const ui::ChatTurn& last() const { return f.chat.turn(f.chat.turnCount() - 1); }
  /// The answer as it stands on the screen, not in the view-model.
  [[nodiscard]] QString shownAnswer() {
    const auto turns = visibleChildren<ui::TurnView>(f.window, QStringLiteral("Answer"));
    return turns.empty() ? QString() : turns.back()->answer()->toPlainText();
  }
  void keepScreens(const QString& name) {
    for (const ui::ThemeMode mode : {ui::ThemeMode::Light, ui::ThemeMode::Dark}) {
      f.theme.setMode(mode);
      QTest::qWait(0);
      saveScreen(f.window,
                 name + (mode == ui::ThemeMode::Light ? QStringLiteral("-light")
                                                      : QStringLiteral("-dark")));
    }
  }

  PanelFixture f;
  ui::ChatBridge bridge{f.chat};
};

}  // namespace

void ChatPageWithEngineTest::initTestCase() {
  engine_ = std::make_unique<Engine>(
      QStringList{QStringLiteral("serve"),
                  QStringLiteral("--model"),
                  QStringLiteral(TANDEM_SOURCE_DIR "/resources/demo-model"),
                  QStringLiteral("--ranks"),
                  QStringLiteral("2"),
                  QStringLiteral("--port"),
                  QStringLiteral("0")});
  port_ = engine_->waitForPort();
  QVERIFY2(port_ != 0, qPrintable(engine_->output()));
}

QUrl ChatPageWithEngineTest::base() const {
  return QUrl(QStringLiteral("http://127.0.0.1:%1/v1").arg(port_));
}

void ChatPageWithEngineTest::thePageOpensOnceTheModelIsKnown() {
  LiveChat live(base());
  QVERIFY(!live.f.chat.available());
  QTRY_VERIFY_WITH_TIMEOUT(live.f.chat.available(), kPatienceMs);
  QCOMPARE(live.f.chat.hint(), QStringLiteral("Message demo-model"));
  live.bridge.clearEndpoint(QStringLiteral("The engine stopped."));
  QVERIFY(!live.f.chat.available());
  QCOMPARE(live.f.chat.hint(), QStringLiteral("The engine stopped."));
}

void ChatPageWithEngineTest::twoCitiesAreAskedAndAnswered() {
  LiveChat live(base());
  QTRY_VERIFY_WITH_TIMEOUT(live.f.chat.available(), kPatienceMs);
  live.toggle(QStringLiteral("Weather tool"));
  live.type(QStringLiteral("What is the weather in Tokyo and New York?"));
  QTRY_VERIFY_WITH_TIMEOUT(live.over(), kPatienceMs);

  QTRY_COMPARE(visibleChildren<ui::ToolCallView>(live.f.window).size(), std::size_t{2});
  const auto arguments = visibleChildren<QLabel>(live.f.window, QStringLiteral("Arguments"));
  QCOMPARE(arguments.size(), std::size_t{2});
  QCOMPARE(arguments[0]->text(), QStringLiteral("city: Tokyo"));
  QCOMPARE(arguments[1]->text(), QStringLiteral("city: New York"));
  const auto results =
      visibleChildren<QPlainTextEdit>(live.f.window, QStringLiteral("Tool result"));
  QCOMPARE(results.size(), std::size_t{2});
  QVERIFY(results[0]->toPlainText().contains(u"\"Tokyo\""));
  live.keepScreens(QStringLiteral("chat-live-calls"));

  results[1]->setPlainText(
      QStringLiteral(R"({"city": "New York", "temperature_c": 21, "condition": "rainy"})"));
  onlyChild<QPushButton>(live.f.window, QStringLiteral("Send results to the model")).click();
  QCOMPARE(live.f.chat.turnCount(), 3);
  QTRY_VERIFY_WITH_TIMEOUT(live.over(), kPatienceMs);
  QTRY_VERIFY2(live.shownAnswer().contains(u"In Tokyo it is 30 °C and sunny."),
               qPrintable(live.shownAnswer()));
  QVERIFY2(live.shownAnswer().contains(u"In New York it is 21 °C and rainy."),
           qPrintable(live.shownAnswer()));
  live.keepScreens(QStringLiteral("chat-live-answer"));

  // The line under the answer has the counts of the engine's log.
  static const QRegularExpression kNumbers(
      QStringLiteral("[\\d.,]+ tok/s · first token [\\d.]+ m?s · (\\d+) out · (\\d+) in "
                     "\\(\\d+ % cached\\) · stop"));
  const QRegularExpressionMatch numbers = kNumbers.match(live.last().numbers);
  QVERIFY2(numbers.hasMatch(), qPrintable(live.last().numbers));
  QVERIFY(shownLabels(live.f.window).contains(live.last().numbers));
  const QString logged = engine_->waitFor(QStringLiteral("(prompt %1 \\(\\d+ cached\\), %2 tokens)")
                                              .arg(numbers.captured(2), numbers.captured(1)));
  QVERIFY2(!logged.isEmpty(), qPrintable(live.last().numbers));
}

void ChatPageWithEngineTest::reasoningIsFoldedAndCounted() {
  LiveChat live(base());
  QTRY_VERIFY_WITH_TIMEOUT(live.f.chat.available(), kPatienceMs);
  live.toggle(QStringLiteral("Thinking"));
  live.type(QStringLiteral("What is 17 + 25?"));
  QTRY_VERIFY_WITH_TIMEOUT(live.over(), kPatienceMs);
  QTRY_VERIFY2(live.shownAnswer().contains(u"42"), qPrintable(live.shownAnswer()));
  static const QRegularExpression kSummary(
      QStringLiteral("^Thought for [\\d.]+ m?s · \\d+ tokens$"));
  QVERIFY2(kSummary.match(live.last().reasoningSummary).hasMatch(),
           qPrintable(live.last().reasoningSummary));
  auto& fold =
      onlyChild<QAbstractButton>(live.f.window,
                                 QStringLiteral("Reasoning. %1").arg(live.last().reasoningSummary));
  QVERIFY(visibleChildren<QPlainTextEdit>(live.f.window, QStringLiteral("Reasoning")).empty());
  fold.click();
  QCOMPARE(onlyChild<QPlainTextEdit>(live.f.window, QStringLiteral("Reasoning")).toPlainText(),
           live.last().reasoning);
  live.keepScreens(QStringLiteral("chat-live-thinking"));
}

void ChatPageWithEngineTest::stopKeepsWhatWasWritten() {
  LiveChat live(base());
  QTRY_VERIFY_WITH_TIMEOUT(live.f.chat.available(), kPatienceMs);
  live.type(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(!live.f.chat.turn(1).text.isEmpty(), kPatienceMs);
  QVERIFY(live.f.chat.busy());
  onlyChild<QPushButton>(live.f.window, QStringLiteral("Stop the answer")).click();
  QVERIFY(!live.f.chat.busy());
  const QString kept = live.last().text;
  QVERIFY2(live.last().numbers.endsWith(u"stopped by you"), qPrintable(live.last().numbers));
  QTRY_COMPARE(live.shownAnswer(), kept);
  onlyChild<QAbstractButton>(live.f.window, QStringLiteral("Regenerate answer")).click();
  QTRY_VERIFY_WITH_TIMEOUT(live.over(), kPatienceMs);
  QVERIFY(live.last().text.startsWith(kept));
  QVERIFY(live.last().text.size() > kept.size());
  live.toggle(QStringLiteral("New chat"));
  QCOMPARE(live.f.chat.turnCount(), 0);
}

void ChatPageWithEngineTest::aKilledEngineLeavesTheTextAndAReason() {
  LiveChat live(base());
  QTRY_VERIFY_WITH_TIMEOUT(live.f.chat.available(), kPatienceMs);
  live.type(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(!live.f.chat.turn(1).text.isEmpty(), kPatienceMs);
  engine_->send(SIGKILL);
  QTRY_VERIFY_WITH_TIMEOUT(live.over(), kPatienceMs);
  QVERIFY(live.last().stage == ui::TurnStage::Failed);
  QVERIFY(!live.last().text.isEmpty());
  QTRY_VERIFY(shownLabels(live.f.window).contains(u"closed before the answer ended"));
  QVERIFY(visibleChildren<QPushButton>(live.f.window, QStringLiteral("Retry")).size() == 1);
  live.keepScreens(QStringLiteral("chat-live-killed"));
}

}  // namespace tandem::test

QTEST_MAIN(tandem::test::ChatPageWithEngineTest)
#include "chat_page_with_engine_test.moc"
