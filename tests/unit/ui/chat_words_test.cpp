// SPDX-License-Identifier: GPL-3.0-or-later
// What the Chat page says about a turn.
#include "ui/bridge/chat_words.h"

#include <QTest>

namespace tandem::test {

using namespace std::chrono_literals;
using app::AnswerState;
using app::AnswerTurn;
using ui::chatTurnOf;
using ui::TurnStage;

namespace {

AnswerTurn answerIn(AnswerState state) {
  AnswerTurn answer;
  answer.state = state;
  answer.completion.content = QStringLiteral("Hello");
  answer.completion.timings = app::AnswerTimings{0.001, 0.08, 3.4, 212, 62.06};
  return answer;
}

AnswerTurn callingAnswer(const QString& arguments) {
  AnswerTurn answer = answerIn(AnswerState::Writing);
  answer.completion.calls = {{QStringLiteral("call_1"), QStringLiteral("get_weather"), arguments}};
  return answer;
}

}  // namespace

class ChatWordsTest : public QObject {
  Q_OBJECT

 private slots:
  void everyStateHasItsStageAndProgress_data();
  void everyStateHasItsStageAndProgress();
  void numbersAreThoseOfTheEngine_data();
  void numbersAreThoseOfTheEngine();
  void unknownNumbersAreLeftOut();
  void reasoningIsSummedUpWithWhatIsKnown();
  void argumentsAreLinesOnceTheyAreWhole_data();
  void argumentsAreLinesOnceTheyAreWhole();
  void resultsAreProposedUntilTheyAreSent();
  void failuresKeepTheTextAndGiveTheReason();
  void userTurnsAreOnlyText();
};

void ChatWordsTest::everyStateHasItsStageAndProgress_data() {
  QTest::addColumn<int>("state");
  QTest::addColumn<int>("stage");
  QTest::addColumn<QString>("progress");
  QTest::newRow("waiting") << int(AnswerState::Waiting) << int(TurnStage::Waiting)
                           << "Reading the prompt 02:05";
  QTest::newRow("thinking") << int(AnswerState::Thinking) << int(TurnStage::Thinking)
                            << "Thinking 02:05 · 212 tokens";
  QTest::newRow("writing") << int(AnswerState::Writing) << int(TurnStage::Answering)
                           << "Answering 02:05 · 212 tokens";
  QTest::newRow("finished") << int(AnswerState::Finished) << int(TurnStage::Finished) << "";
  QTest::newRow("stopped") << int(AnswerState::Stopped) << int(TurnStage::Stopped) << "";
  QTest::newRow("failed") << int(AnswerState::Failed) << int(TurnStage::Failed) << "";
}

void ChatWordsTest::everyStateHasItsStageAndProgress() {
  QFETCH(int, state);
  QFETCH(int, stage);
  QFETCH(QString, progress);
  const ui::ChatTurn turn = chatTurnOf(answerIn(static_cast<AnswerState>(state)), 125s);
  QCOMPARE(int(turn.stage), stage);
  QCOMPARE(turn.progress, progress);
  QCOMPARE(turn.numbers.isEmpty(), turn.live());
}

void ChatWordsTest::numbersAreThoseOfTheEngine_data() {
  QTest::addColumn<QString>("finishReason");
  QTest::addColumn<int>("cached");
  QTest::addColumn<QString>("numbers");
  const QString rate = QStringLiteral("62.1 tok/s · first token 81 ms · ");
  QTest::newRow("finished") << "stop" << 0 << rate + QStringLiteral("1,212 out · 48,210 in · stop");
  QTest::newRow("with a cached prompt")
      << "tool_calls" << 31744
      << rate + QStringLiteral("1,212 out · 48,210 in (66 % cached) · tool_calls");
  QTest::newRow("at the limit") << "length" << 0
                                << rate + QStringLiteral(
                                              "1,212 out · 48,210 in · token limit reached");
}

void ChatWordsTest::numbersAreThoseOfTheEngine() {
  QFETCH(QString, finishReason);
  QFETCH(int, cached);
  QFETCH(QString, numbers);
  AnswerTurn answer = answerIn(AnswerState::Finished);
  answer.completion.finishReason = finishReason;
  answer.completion.usage = app::TokenUsage{48210, cached, 1212, 0};
  QCOMPARE(chatTurnOf(answer, 0s).numbers, numbers);
}

void ChatWordsTest::unknownNumbersAreLeftOut() {
  AnswerTurn stopped = answerIn(AnswerState::Stopped);
  QCOMPARE(chatTurnOf(stopped, 0s).numbers,
           QStringLiteral("62.1 tok/s · first token 81 ms · 212 out · stopped by you"));
  // One token makes no interval, so no rate.
  stopped.completion.timings->decodedTokens = 1;
  QCOMPARE(chatTurnOf(stopped, 0s).numbers,
           QStringLiteral("first token 81 ms · 1 out · stopped by you"));
  // A server that sends no timings.
  stopped.completion.timings.reset();
  QCOMPARE(chatTurnOf(stopped, 0s).numbers, QString());
  stopped.state = AnswerState::Writing;
  QCOMPARE(chatTurnOf(stopped, 3s).progress, QStringLiteral("Answering 00:03"));
}

void ChatWordsTest::reasoningIsSummedUpWithWhatIsKnown() {
  AnswerTurn answer = answerIn(AnswerState::Finished);
  QCOMPARE(chatTurnOf(answer, 0s).reasoningSummary, QString());
  answer.completion.reasoning = QStringLiteral("17 + 25");
  QCOMPARE(chatTurnOf(answer, 0s).reasoningSummary, QStringLiteral("Thoughts"));
  answer.completion.thinkingSeconds = 12.08;
  answer.completion.usage = app::TokenUsage{10, 0, 900, 840};
  QCOMPARE(chatTurnOf(answer, 0s).reasoningSummary,
           QStringLiteral("Thought for 12.1 s · 840 tokens"));
}

void ChatWordsTest::argumentsAreLinesOnceTheyAreWhole_data() {
  QTest::addColumn<QString>("json");
  QTest::addColumn<QString>("lines");
  QTest::newRow("text") << "{\"city\": \"New York\"}"
                        << "city: New York";
  QTest::newRow("other kinds") << "{\"days\": 3, \"exact\": true, \"at\": [1, \"x\"]}"
                               << "at: [1,\"x\"]\ndays: 3\nexact: true";
  QTest::newRow("not whole") << "{\"city\": \"New"
                             << "{\"city\": \"New";
  QTest::newRow("no object") << "[1]"
                             << "[1]";
  QTest::newRow("none") << "{}"
                        << "";
}

void ChatWordsTest::argumentsAreLinesOnceTheyAreWhole() {
  QFETCH(QString, json);
  QFETCH(QString, lines);
  const ui::ChatTurn turn = chatTurnOf(callingAnswer(json), 0s);
  QCOMPARE(turn.calls.at(0).arguments, lines);
  QCOMPARE(turn.calls.at(0).rawArguments, json);
}

void ChatWordsTest::resultsAreProposedUntilTheyAreSent() {
  AnswerTurn answer = callingAnswer(QStringLiteral("{}"));
  answer.state = AnswerState::Finished;
  answer.results = {QStringLiteral("18 degrees")};
  const ui::ChatTurn proposed = chatTurnOf(answer, 0s);
  QCOMPARE(proposed.calls[0].result, QStringLiteral("18 degrees"));
  QVERIFY(proposed.awaitsResults());
  answer.resultsSent = true;
  QVERIFY(!chatTurnOf(answer, 0s).awaitsResults());
}

void ChatWordsTest::failuresKeepTheTextAndGiveTheReason() {
  AnswerTurn failed = answerIn(AnswerState::Failed);
  failed.problem.what = QStringLiteral("Rank 1 is gone.");
  failed.problem.remedy = QStringLiteral("Start it again.");
  const ui::ChatTurn turn = chatTurnOf(failed, 0s);
  QCOMPARE(turn.text, QStringLiteral("Hello"));
  QVERIFY(turn.error ==
          (ui::TurnError{QStringLiteral("Rank 1 is gone."), QStringLiteral("Start it again.")}));
  QVERIFY2(turn.numbers.endsWith(u"broken off"), qPrintable(turn.numbers));
}

void ChatWordsTest::userTurnsAreOnlyText() {
  const ui::ChatTurn turn = chatTurnOf(app::UserTurn{QStringLiteral("Hi")}, 9s);
  QVERIFY(turn.fromUser);
  QCOMPARE(turn.text, QStringLiteral("Hi"));
  QVERIFY(turn.progress.isEmpty() && turn.numbers.isEmpty());
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::ChatWordsTest)
#include "chat_words_test.moc"
