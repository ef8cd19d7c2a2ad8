// SPDX-License-Identifier: GPL-3.0-or-later
// ChatSession against a server that answers byte by byte, wrongly, or not at all.
#include "app/chat/chat_session.h"

#include <QJsonArray>
#include <QSignalSpy>
#include <QTest>

#include "app/chat/model_finder.h"
#include "app/chat/weather_tool.h"
#include "tests/support/scripted_http_server.h"

namespace tandem::test {

using namespace tandem::app;
using testing::delta;
using testing::ending;
using testing::ScriptedHttpServer;
using testing::streamHead;
using testing::wholeAnswer;

class ChatSessionTest : public QObject {
  Q_OBJECT

 private slots:
  void answersArriveInPieces();
  void charactersMayBeSplitAnywhere();
  void aBrokenCharacterIsShownAndTheAnswerGoesOn();
  void thinkingComesBeforeTheAnswer();
  void theKeyIsSentAsBearer();

  void proposedResultsWaitForThePerson();
  void automaticResultsGoBackAtOnce();
  void automaticRoundsHaveALimit();
  void aNewQuestionDeclinesOpenCalls();

  void refusalsBecomePartOfTheTurn();
  void nobodyListeningBecomesPartOfTheTurn();
  void anErrorInTheStreamKeepsTheText();
  void aBrokenConnectionKeepsTheText_data();
  void aBrokenConnectionKeepsTheText();
  void anAnswerThatIsNoStreamIsRefused();
  void silenceEndsTheWait();

  void stopClosesTheConnection();
  void leavingClosesTheConnection();
  void regenerateAsksTheSameAgain();
  void losingTheEngineEndsTheLiveAnswer();
  void withoutAnEngineQuestionsFailAtOnce();
  void newChatsForgetTheOldOne();
  void theModelIsFoundOnceItIsThere();
};

namespace {

using Ending = ScriptedHttpServer::Ending;

const QString kQuestion = QStringLiteral("What is the weather in Tokyo and New York?");

/// Two calls whose arguments come in pieces, the second beginning before the first has ended.
std::vector<QByteArray> twoCalls() {
  return {streamHead(),
          delta(R"({"role":"assistant","content":""})"),
          delta(R"({"tool_calls":[{"index":0,"id":"call_a","type":"function",)"
                R"("function":{"name":"get_weather","arguments":"{\"city\": \"To"}}]})"),
          delta(R"({"tool_calls":[{"index":1,"id":"call_b","type":"function",)"
                R"("function":{"name":"get_weather","arguments":"{\"city\": "}}]})"),
          delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"kyo\"}"}}]})"),
          delta(R"({"tool_calls":[{"index":1,"function":{"arguments":"\"New York\"}"}}]})"),
          ending("tool_calls")};
}

std::vector<QByteArray> words(const QByteArray& text) {
  return {streamHead(), delta(R"({"content":")" + text + "\"}"), ending("stop")};
}

std::vector<QByteArray> byteByByte(const std::vector<QByteArray>& pieces) {
  std::vector<QByteArray> bytes;
  for (const QByteArray& piece : pieces) {
    for (const char byte : piece) {
      bytes.emplace_back(1, byte);
    }
  }
  return bytes;
}

/// "5\r\nHello\r\n": a piece of an answer in chunks, whose end can be told from a broken
/// connection.
QByteArray httpChunk(const QByteArray& bytes) {
  return QByteArray::number(bytes.size(), 16) + "\r\n" + bytes + "\r\n";
}

QByteArray chunkedHead() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
         "Transfer-Encoding: chunked\r\n\r\n";
}

struct Fixture {
  Fixture() { session.setEndpoint({server.base(), {}}); }

  [[nodiscard]] const AnswerTurn& answer(std::size_t turn) const {
    return std::get<AnswerTurn>(session.turns().at(turn));
  }
  /// The messages of request `index` as the server got them.
  [[nodiscard]] QJsonArray messages(std::size_t index) const {
    return server.requests().at(index).body[u"messages"].toArray();
  }
  void offerTools(ToolApproval approval) {
    ChatOptions options = session.options();
    options.offerTools = true;
    options.approval = approval;
    session.setOptions(options);
  }

  ScriptedHttpServer server;
  ChatSession session{ToolRegistry({demoWeatherTool()})};
};

}  // namespace

void ChatSessionTest::answersArriveInPieces() {
  Fixture f;
  f.server.answer({words("Hello!"), Ending::Close});
  QSignalSpy changes(&f.session, &ChatSession::turnChanged);
  f.session.send(QStringLiteral("Hi"));
  QVERIFY(f.session.busy());
  QVERIFY(f.answer(1).state == AnswerState::Waiting);
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(f.answer(1).state == AnswerState::Finished);
  QCOMPARE(f.answer(1).completion.content, QStringLiteral("Hello!"));
  QCOMPARE(f.answer(1).completion.finishReason, QStringLiteral("stop"));
  QCOMPARE(changes.at(0).at(0).toInt(), 0);
  QCOMPARE(changes.back().at(0).toInt(), 1);

  f.server.answer({words("Bye!"), Ending::Close});
  f.session.send(QStringLiteral("Thanks"));
  QTRY_COMPARE(f.answer(3).completion.content, QStringLiteral("Bye!"));
  QCOMPARE(f.messages(1).size(), 3);
  QCOMPARE(f.messages(1)[1].toObject()[u"content"].toString(), QStringLiteral("Hello!"));
}

void ChatSessionTest::charactersMayBeSplitAnywhere() {
  Fixture f;
  f.server.answer({byteByByte(words("世界 5¢ 🙂")), Ending::Close});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QCOMPARE(f.answer(1).completion.content, QStringLiteral("世界 5¢ 🙂"));
}

void ChatSessionTest::aBrokenCharacterIsShownAndTheAnswerGoesOn() {
  Fixture f;
  f.server.answer({{streamHead(),
                    delta("{\"content\":\"half \xE4\xB8\"}"),
                    delta(R"({"content":" whole"})"),
                    ending("stop")},
                   Ending::Close});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(f.answer(1).state == AnswerState::Finished);
  const QString text = f.answer(1).completion.content;
  QVERIFY2(text.startsWith(u"half \uFFFD") && text.endsWith(u" whole"), qPrintable(text));
}

void ChatSessionTest::thinkingComesBeforeTheAnswer() {
  Fixture f;
  ChatOptions options;
  options.thinking = true;
  options.model = QStringLiteral("demo");
  f.session.setOptions(options);
  f.server.answer({{streamHead(), delta(R"({"reasoning_content":"17 + 25"})")}, Ending::KeepOpen});
  f.session.send(QStringLiteral("Sum?"));
  QTRY_VERIFY(f.answer(1).state == AnswerState::Thinking);
  const QJsonObject body = f.server.requests().at(0).body;
  QCOMPARE(body[u"thinking"].toObject()[u"type"].toString(), QStringLiteral("enabled"));
  QCOMPARE(body[u"model"].toString(), QStringLiteral("demo"));
}

void ChatSessionTest::theKeyIsSentAsBearer() {
  Fixture f;
  f.session.setEndpoint({f.server.base(), "secret"});
  f.server.answer({words("Hello!"), Ending::Close});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(f.server.requests().at(0).head.contains("Authorization: Bearer secret\r\n"));
  QVERIFY(f.server.requests().at(0).head.startsWith("POST /v1/chat/completions "));
}

void ChatSessionTest::proposedResultsWaitForThePerson() {
  Fixture f;
  f.offerTools(ToolApproval::Ask);
  f.server.answer({byteByByte(twoCalls()), Ending::Close});
  f.session.send(kQuestion);
  QTRY_VERIFY(!f.session.busy());
  const AnswerTurn asked = f.answer(1);
  QCOMPARE(asked.completion.calls.size(), std::size_t{2});
  QCOMPARE(asked.completion.calls[0].arguments, QStringLiteral("{\"city\": \"Tokyo\"}"));
  QCOMPARE(asked.completion.calls[1].arguments, QStringLiteral("{\"city\": \"New York\"}"));
  QVERIFY(asked.awaitsResults());
  QVERIFY(asked.results.at(0).contains(u"\"Tokyo\""));
  QCOMPARE(f.server.requests().at(0).body[u"tools"].toArray().size(), 1);
  QCOMPARE(f.server.requests().size(), std::size_t{1});

  f.server.answer({words("Sunny."), Ending::Close});
  f.session.sendResults({{QStringLiteral("call_b"), QStringLiteral("31 degrees")}});
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(!f.answer(1).awaitsResults());
  QCOMPARE(f.answer(2).completion.content, QStringLiteral("Sunny."));
  const QJsonArray messages = f.messages(1);
  QCOMPARE(messages.size(), 4);
  QCOMPARE(messages[1].toObject()[u"tool_calls"].toArray().size(), 2);
  QCOMPARE(messages[2].toObject()[u"tool_call_id"].toString(), QStringLiteral("call_a"));
  QCOMPARE(messages[2].toObject()[u"content"].toString(), asked.results[0]);
  QCOMPARE(messages[3].toObject()[u"content"].toString(), QStringLiteral("31 degrees"));
  f.session.sendResults({});  // nothing waits any more
  QCOMPARE(f.session.turns().size(), std::size_t{3});
}

void ChatSessionTest::automaticResultsGoBackAtOnce() {
  Fixture f;
  f.offerTools(ToolApproval::Automatic);
  f.server.answer({twoCalls(), Ending::Close});
  f.server.answer({words("Both are fine."), Ending::Close});
  f.session.send(kQuestion);
  QTRY_COMPARE(f.session.turns().size(), std::size_t{3});
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(f.answer(1).resultsSent);
  QCOMPARE(f.answer(2).completion.content, QStringLiteral("Both are fine."));
}

void ChatSessionTest::automaticRoundsHaveALimit() {
  Fixture f;
  f.offerTools(ToolApproval::Automatic);
  ChatOptions options = f.session.options();
  options.mostRounds = 2;
  f.session.setOptions(options);
  for (int round = 0; round < 3; ++round) {
    f.server.answer({twoCalls(), Ending::Close});
  }
  f.session.send(kQuestion);
  QTRY_VERIFY(!f.session.busy());
  QCOMPARE(f.server.requests().size(), std::size_t{3});
  QVERIFY(f.answer(3).state == AnswerState::Failed);
  QVERIFY(!f.answer(3).awaitsResults());
  QVERIFY2(f.answer(3).problem.what.contains(u'3'), qPrintable(f.answer(3).problem.what));
}

void ChatSessionTest::aNewQuestionDeclinesOpenCalls() {
  Fixture f;
  f.offerTools(ToolApproval::Ask);
  f.server.answer({twoCalls(), Ending::Close});
  f.server.answer({words("Hello!"), Ending::Close});
  f.session.send(kQuestion);
  QTRY_VERIFY(!f.session.busy());
  f.session.send(QStringLiteral("Never mind. Hi!"));
  QTRY_VERIFY(!f.session.busy());
  const QJsonArray messages = f.messages(1);
  QCOMPARE(messages.size(), 5);
  for (const int index : {2, 3}) {
    QVERIFY(messages[index].toObject()[u"content"].toString().contains(u"did not run"));
  }
  QCOMPARE(f.answer(3).completion.content, QStringLiteral("Hello!"));
}

void ChatSessionTest::refusalsBecomePartOfTheTurn() {
  Fixture f;
  f.server.answer({{wholeAnswer("503 Service Unavailable",
                                R"({"error":{"message":"the model is loading; try again in a )"
                                R"(moment","type":"server_error","param":null,)"
                                R"("code":"model_loading"}})",
                                "Retry-After: 1\r\n")},
                   Ending::KeepOpen});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  const AnswerTurn& failed = f.answer(1);
  QVERIFY(failed.state == AnswerState::Failed);
  QCOMPARE(failed.problem.status, 503);
  QCOMPARE(failed.problem.code, QStringLiteral("model_loading"));
  QCOMPARE(failed.problem.what, QStringLiteral("The model is loading; try again in a moment."));
  QCOMPARE(failed.problem.retryAfterSeconds, std::optional<int>(1));

  f.server.answer({words("Hello!"), Ending::Close});
  f.session.regenerate();
  QTRY_COMPARE(f.answer(1).completion.content, QStringLiteral("Hello!"));
  QCOMPARE(f.messages(1).size(), 1);
}

void ChatSessionTest::nobodyListeningBecomesPartOfTheTurn() {
  Fixture f;
  const QUrl base = f.server.base();
  f.server.close();
  f.session.setEndpoint({base, {}});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QCOMPARE(f.answer(1).problem.what,
           QStringLiteral("Nothing answers at 127.0.0.1:%1.").arg(base.port()));
}

void ChatSessionTest::anErrorInTheStreamKeepsTheText() {
  Fixture f;
  f.server.answer(
      {{streamHead(),
        delta(R"({"content":"Half an "})"),
        testing::event(R"({"error":{"message":"rank 1 is gone","type":"server_error"}})")},
       Ending::Close});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(f.answer(1).state == AnswerState::Failed);
  QCOMPARE(f.answer(1).completion.content, QStringLiteral("Half an "));
  QCOMPARE(f.answer(1).problem.what, QStringLiteral("Rank 1 is gone."));

  // What was half said is part of the conversation.
  f.server.answer({words("answer."), Ending::Close});
  f.session.send(QStringLiteral("Go on"));
  QTRY_VERIFY(!f.session.busy());
  QCOMPARE(f.messages(1)[1].toObject()[u"content"].toString(), QStringLiteral("Half an "));
}

void ChatSessionTest::aBrokenConnectionKeepsTheText_data() {
  QTest::addColumn<bool>("chunked");
  QTest::newRow("the end of the stream is missing") << false;
  QTest::newRow("the end of the transfer is missing") << true;
}

void ChatSessionTest::aBrokenConnectionKeepsTheText() {
  QFETCH(bool, chunked);
  Fixture f;
  const QByteArray half = delta(R"({"content":"Half an "})");
  f.server.answer({chunked ? std::vector<QByteArray>{chunkedHead(), httpChunk(half)}
                           : std::vector<QByteArray>{streamHead(), half},
                   Ending::Close});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QVERIFY(f.answer(1).state == AnswerState::Failed);
  QCOMPARE(f.answer(1).completion.content, QStringLiteral("Half an "));
  QVERIFY2(f.answer(1).problem.what.contains(u"closed before the answer ended"),
           qPrintable(f.answer(1).problem.what));
}

void ChatSessionTest::anAnswerThatIsNoStreamIsRefused() {
  Fixture f;
  f.server.answer({{wholeAnswer("200 OK", "{}")}, Ending::KeepOpen});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(!f.session.busy());
  QVERIFY2(f.answer(1).problem.what.contains(u"application/json instead of a stream"),
           qPrintable(f.answer(1).problem.what));
}

void ChatSessionTest::silenceEndsTheWait() {
  ScriptedHttpServer server;
  HttpClient http({server.base(), {}});
  http.setSilenceLimit(std::chrono::milliseconds(500));
  ChatClient client(http);
  QSignalSpy failed(&client, &ChatClient::failed);
  server.answer({{streamHead(), delta(R"({"content":"so"})")}, Ending::KeepOpen});
  client.start({});
  QTRY_COMPARE(failed.size(), 1);
  QVERIFY(failed[0][0].value<HttpProblem>().what.contains(u"silent for too long"));
  QCOMPARE(client.completion().content, QStringLiteral("so"));
  QTRY_COMPARE(server.clientsGone(), 1);
}

void ChatSessionTest::stopClosesTheConnection() {
  Fixture f;
  f.server.answer({{streamHead(), delta(R"({"content":"and on "})")}, Ending::KeepOpen});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(f.answer(1).state == AnswerState::Writing);
  QCOMPARE(f.server.clientsGone(), 0);
  f.session.stop();
  QVERIFY(f.answer(1).state == AnswerState::Stopped);
  QCOMPARE(f.answer(1).completion.content, QStringLiteral("and on "));
  QTRY_COMPARE(f.server.clientsGone(), 1);
  f.session.stop();
  QVERIFY(f.answer(1).state == AnswerState::Stopped);
}

void ChatSessionTest::leavingClosesTheConnection() {
  ScriptedHttpServer server;
  server.answer({{streamHead(), delta(R"({"content":"and on "})")}, Ending::KeepOpen});
  {
    ChatSession session{ToolRegistry({})};
    session.setEndpoint({server.base(), {}});
    session.send(QStringLiteral("Hi"));
    QTRY_COMPARE(server.requests().size(), std::size_t{1});
  }
  QTRY_COMPARE(server.clientsGone(), 1);
}

void ChatSessionTest::regenerateAsksTheSameAgain() {
  Fixture f;
  f.offerTools(ToolApproval::Automatic);
  f.server.answer({twoCalls(), Ending::Close});
  f.server.answer({words("One."), Ending::Close});
  f.server.answer({words("Two."), Ending::Close});
  f.session.send(kQuestion);
  QTRY_COMPARE(f.session.turns().size(), std::size_t{3});
  QTRY_VERIFY(!f.session.busy());
  QSignalSpy truncated(&f.session, &ChatSession::truncated);
  f.session.regenerate();
  QCOMPARE(truncated.size(), 1);
  QCOMPARE(truncated[0][0].toInt(), 2);
  QTRY_VERIFY(!f.session.busy());
  QCOMPARE(f.answer(2).completion.content, QStringLiteral("Two."));
  QCOMPARE(f.server.requests().at(2).body, f.server.requests().at(1).body);
}

void ChatSessionTest::losingTheEngineEndsTheLiveAnswer() {
  Fixture f;
  f.server.answer({{streamHead(), delta(R"({"content":"Half an "})")}, Ending::KeepOpen});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(f.answer(1).state == AnswerState::Writing);
  f.session.clearEndpoint(QStringLiteral("The engine stopped on Worker."));
  QVERIFY(f.answer(1).state == AnswerState::Failed);
  QCOMPARE(f.answer(1).problem.what, QStringLiteral("The engine stopped on Worker."));
  QCOMPARE(f.answer(1).completion.content, QStringLiteral("Half an "));
  QTRY_COMPARE(f.server.clientsGone(), 1);
}

void ChatSessionTest::withoutAnEngineQuestionsFailAtOnce() {
  ChatSession session{ToolRegistry({})};
  session.send(QStringLiteral("Hi"));
  QVERIFY(!session.busy());
  const auto& answer = std::get<AnswerTurn>(session.turns().at(1));
  QVERIFY(answer.state == AnswerState::Failed);
  QVERIFY(!answer.problem.what.isEmpty() && !answer.problem.remedy.isEmpty());
}

void ChatSessionTest::newChatsForgetTheOldOne() {
  Fixture f;
  f.server.answer({{streamHead(), delta(R"({"content":"and on "})")}, Ending::KeepOpen});
  f.server.answer({words("Hello!"), Ending::Close});
  f.session.send(QStringLiteral("Hi"));
  QTRY_VERIFY(f.answer(1).state == AnswerState::Writing);
  f.session.clear();
  QVERIFY(f.session.turns().empty());
  QVERIFY(!f.session.busy());
  QTRY_COMPARE(f.server.clientsGone(), 1);
  f.session.send(QStringLiteral("Hi again"));
  QTRY_COMPARE(f.answer(1).completion.content, QStringLiteral("Hello!"));
  QCOMPARE(f.messages(1).size(), 1);
}

void ChatSessionTest::theModelIsFoundOnceItIsThere() {
  ScriptedHttpServer server;
  server.answer(
      {{wholeAnswer("503 Service Unavailable", R"({"error":{"message":"the model is loading"}})")},
       Ending::KeepOpen});
  server.answer({{wholeAnswer("200 OK", R"({"object":"list","data":[]})")}, Ending::KeepOpen});
  server.answer({{wholeAnswer("200 OK", R"({"object":"list","data":[{"id":"demo-model"}]})")},
                 Ending::KeepOpen});
  ModelFinder finder({server.base(), {}});
  QSignalSpy failing(&finder, &ModelFinder::failing);
  QSignalSpy found(&finder, &ModelFinder::found);
  QTRY_COMPARE(found.size(), 1);
  QCOMPARE(found[0][0].toString(), QStringLiteral("demo-model"));
  QCOMPARE(failing.size(), 2);
  QCOMPARE(failing[0][0].value<HttpProblem>().what, QStringLiteral("The model is loading."));
  QVERIFY(failing[1][0].value<HttpProblem>().what.contains(u"lists no model"));
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::ChatSessionTest)
#include "chat_session_test.moc"
