// SPDX-License-Identifier: GPL-3.0-or-later
// ChatSession with the real engine: two ranks of the demo model.
#include <memory>

#include <QJsonDocument>
#include <QJsonObject>
#include <QSignalSpy>
#include <QTest>

#include "app/chat/chat_session.h"
#include "app/chat/model_finder.h"
#include "app/chat/weather_tool.h"
#include "tests/support/engine_process.h"

namespace tandem::test {

using namespace tandem::app;

class ChatWithEngineTest : public QObject {
  Q_OBJECT

 private slots:
  void initTestCase();
  void theEngineNamesItsModel();
  void twoCitiesBecomeTwoParallelCallsAndOneAnswer_data();
  void twoCitiesBecomeTwoParallelCallsAndOneAnswer();
  void countsAreTheEnginesOwn();
  void reasoningComesApartFromTheAnswer();
  void aStoppedAnswerKeepsItsTextAndFreesTheEngine();
  void aConversationTooLongIsRefusedInWords();
  void aKilledEngineEndsTheAnswerWithAReason();

 private:
  [[nodiscard]] Endpoint endpoint() const;

  std::unique_ptr<Engine> engine_;
  quint16 port_ = 0;
};

namespace {

/// A session that decodes greedily.
std::unique_ptr<ChatSession> sessionWith(const Endpoint& endpoint, bool thinking, bool tools) {
  auto session = std::make_unique<ChatSession>(ToolRegistry({demoWeatherTool()}));
  ChatOptions options;
  options.thinking = thinking;
  options.offerTools = tools;
  options.approval = ToolApproval::Automatic;
  options.temperature = 0.0;
  session->setOptions(options);
  session->setEndpoint(endpoint);
  return session;
}

const AnswerTurn& answerAt(const ChatSession& session, std::size_t turn) {
  return std::get<AnswerTurn>(session.turns().at(turn));
}

QString cityOf(const ToolCall& call) {
  return QJsonDocument::fromJson(call.arguments.toUtf8()).object()[u"city"].toString();
}

}  // namespace

void ChatWithEngineTest::initTestCase() {
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

Endpoint ChatWithEngineTest::endpoint() const {
  return {QUrl(QStringLiteral("http://127.0.0.1:%1/v1").arg(port_)), {}};
}

void ChatWithEngineTest::theEngineNamesItsModel() {
  ModelFinder finder(endpoint());
  QSignalSpy found(&finder, &ModelFinder::found);
  QTRY_COMPARE_WITH_TIMEOUT(found.size(), 1, kPatienceMs);
  QCOMPARE(found[0][0].toString(), QStringLiteral("demo-model"));
}

void ChatWithEngineTest::twoCitiesBecomeTwoParallelCallsAndOneAnswer_data() {
  QTest::addColumn<bool>("thinking");
  QTest::newRow("chat") << false;
  QTest::newRow("thinking") << true;
}

void ChatWithEngineTest::twoCitiesBecomeTwoParallelCallsAndOneAnswer() {
  QFETCH(bool, thinking);
  const std::unique_ptr<ChatSession> session = sessionWith(endpoint(), thinking, true);
  session->send(QStringLiteral("What is the weather in Tokyo and New York?"));
  QTRY_VERIFY_WITH_TIMEOUT(!session->busy(), kPatienceMs);

  const AnswerTurn& asked = answerAt(*session, 1);
  QVERIFY2(asked.state == AnswerState::Finished, qPrintable(asked.problem.what));
  QCOMPARE(asked.completion.finishReason, QStringLiteral("tool_calls"));
  QCOMPARE(asked.completion.reasoning.isEmpty(), !thinking);
  const std::vector<ToolCall>& calls = asked.completion.calls;
  QCOMPARE(calls.size(), std::size_t{2});
  QCOMPARE(calls[0].name, QStringLiteral("get_weather"));
  QCOMPARE(calls[1].name, QStringLiteral("get_weather"));
  QCOMPARE(cityOf(calls[0]), QStringLiteral("Tokyo"));
  QCOMPARE(cityOf(calls[1]), QStringLiteral("New York"));
  QVERIFY(!calls[0].id.isEmpty() && calls[0].id != calls[1].id);

  QCOMPARE(session->turns().size(), std::size_t{3});
  const AnswerTurn& answer = answerAt(*session, 2);
  QCOMPARE(answer.completion.finishReason, QStringLiteral("stop"));
  for (std::size_t i = 0; i < asked.results.size(); ++i) {
    const QJsonObject weather = QJsonDocument::fromJson(asked.results[i].toUtf8()).object();
    const QString expected = QStringLiteral("In %1 it is %2 °C and %3.")
                                 .arg(cityOf(calls[i]),
                                      QString::number(weather[u"temperature_c"].toInt()),
                                      weather[u"condition"].toString());
    QVERIFY2(answer.completion.content.contains(expected), qPrintable(answer.completion.content));
  }
}

void ChatWithEngineTest::countsAreTheEnginesOwn() {
  const std::unique_ptr<ChatSession> session = sessionWith(endpoint(), false, false);
  session->send(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(!session->busy(), kPatienceMs);
  const Completion& answer = answerAt(*session, 1).completion;
  QVERIFY(answer.usage && answer.timings);
  QVERIFY(answer.usage->promptTokens > 0);
  QVERIFY(answer.usage->completionTokens > 0);
  QCOMPARE(answer.timings->decodedTokens, answer.usage->completionTokens);
  QVERIFY(answer.timings->tokensPerSecond > 0);
  QVERIFY(answer.timings->promptSeconds > 0);
  // The engine's log has the same numbers.
  const QString line = QStringLiteral("prompt %1 \\(%2 cached\\), %3 tokens, ttft ([\\d.]+)")
                           .arg(answer.usage->promptTokens)
                           .arg(answer.usage->cachedTokens)
                           .arg(answer.usage->completionTokens);
  const QString ttft = engine_->waitFor(line);
  QVERIFY2(!ttft.isEmpty(), qPrintable(engine_->output()));
}

void ChatWithEngineTest::reasoningComesApartFromTheAnswer() {
  const std::unique_ptr<ChatSession> session = sessionWith(endpoint(), true, false);
  bool sawThinking = false;
  connect(session.get(), &ChatSession::turnChanged, this, [&](int index) {
    const auto* answer =
        std::get_if<AnswerTurn>(&session->turns().at(static_cast<std::size_t>(index)));
    sawThinking = sawThinking || (answer != nullptr && answer->state == AnswerState::Thinking);
  });
  session->send(QStringLiteral("What is 17 + 25?"));
  QTRY_VERIFY_WITH_TIMEOUT(!session->busy(), kPatienceMs);
  const Completion& answer = answerAt(*session, 1).completion;
  QVERIFY(sawThinking);
  QVERIFY(!answer.reasoning.isEmpty());
  QVERIFY2(answer.content.contains(u"42"), qPrintable(answer.content));
  QVERIFY(answer.thinkingSeconds && *answer.thinkingSeconds > 0);
  QVERIFY(*answer.thinkingSeconds <= answer.timings->decodeSeconds);
  QVERIFY(answer.usage->reasoningTokens > 0);
  QVERIFY(answer.usage->reasoningTokens < answer.usage->completionTokens);
}

void ChatWithEngineTest::aStoppedAnswerKeepsItsTextAndFreesTheEngine() {
  const std::unique_ptr<ChatSession> session = sessionWith(endpoint(), false, false);
  session->send(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(answerAt(*session, 1).state == AnswerState::Writing, kPatienceMs);
  session->stop();
  const QString kept = answerAt(*session, 1).completion.content;
  QVERIFY(!kept.isEmpty());
  QVERIFY(!engine_->waitFor(QStringLiteral("(client left, prompt)")).isEmpty());
  session->regenerate();
  QTRY_VERIFY_WITH_TIMEOUT(!session->busy(), kPatienceMs);
  QVERIFY(answerAt(*session, 1).state == AnswerState::Finished);
  QVERIFY(answerAt(*session, 1).completion.content.startsWith(kept));
}

void ChatWithEngineTest::aConversationTooLongIsRefusedInWords() {
  const std::unique_ptr<ChatSession> session = sessionWith(endpoint(), false, false);
  session->send(QStringLiteral("word and ").repeated(20000));
  QTRY_VERIFY_WITH_TIMEOUT(!session->busy(), kPatienceMs);
  const AnswerTurn& answer = answerAt(*session, 1);
  QVERIFY(answer.state == AnswerState::Failed);
  QCOMPARE(answer.problem.code, QStringLiteral("context_length_exceeded"));
  QVERIFY2(answer.problem.what.contains(u"16384"), qPrintable(answer.problem.what));
  QVERIFY2(answer.problem.remedy.contains(u"new chat"), qPrintable(answer.problem.remedy));
}

void ChatWithEngineTest::aKilledEngineEndsTheAnswerWithAReason() {
  const std::unique_ptr<ChatSession> session = sessionWith(endpoint(), false, false);
  session->send(QStringLiteral("What is Tandem?"));
  QTRY_VERIFY_WITH_TIMEOUT(answerAt(*session, 1).state == AnswerState::Writing, kPatienceMs);
  engine_->send(SIGKILL);
  QTRY_VERIFY_WITH_TIMEOUT(!session->busy(), kPatienceMs);
  const AnswerTurn& answer = answerAt(*session, 1);
  QVERIFY(answer.state == AnswerState::Failed);
  QVERIFY(!answer.completion.content.isEmpty());
  QVERIFY2(answer.problem.what.contains(u"closed before the answer ended"),
           qPrintable(answer.problem.what));
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::ChatWithEngineTest)
#include "chat_with_engine_test.moc"
