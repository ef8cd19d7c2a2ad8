// SPDX-License-Identifier: GPL-3.0-or-later
// Events, chunks, problems, requests and tools: everything about chat that needs no connection.
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTest>

#include "app/chat/chat_message.h"
#include "app/chat/completion.h"
#include "app/chat/tool_registry.h"
#include "app/chat/transcript.h"
#include "app/chat/weather_tool.h"
#include "app/net/endpoint.h"
#include "app/net/http_problem.h"
#include "app/net/sse_parser.h"

namespace tandem::test {

using namespace tandem::app;

namespace {

const QString kServer = QStringLiteral("host:1");

std::vector<SseEvent> eventsOf(const QByteArray& bytes, qsizetype pieceBytes) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (qsizetype begin = 0; begin < bytes.size(); begin += pieceBytes) {
    for (SseEvent& event : parser.feed(bytes.mid(begin, pieceBytes))) {
      events.push_back(std::move(event));
    }
  }
  return events;
}

std::vector<QByteArray> dataOf(const std::vector<SseEvent>& events) {
  std::vector<QByteArray> data;
  for (const SseEvent& event : events) {
    data.push_back(event.data);
  }
  return data;
}

QByteArray chunk(const QByteArray& delta, const QByteArray& rest = {}) {
  return R"({"choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":null}])" + rest + "}";
}

QByteArray timings(int tokens, double decodeMs) {
  return R"(,"timings":{"queued_ms":2,"prompt_ms":78,"predicted_n":)" + QByteArray::number(tokens) +
         R"(,"predicted_ms":)" + QByteArray::number(decodeMs) + R"(,"predicted_per_second":62.5})";
}

std::optional<HttpProblem> readAll(CompletionReader& reader, const std::vector<QByteArray>& data) {
  for (const QByteArray& one : data) {
    if (std::optional<HttpProblem> problem = reader.read({{}, one})) {
      return problem;
    }
  }
  return std::nullopt;
}

/// A finished answer with one call.
AnswerTurn callingAnswer() {
  AnswerTurn answer;
  answer.state = AnswerState::Finished;
  answer.completion.calls = {{QStringLiteral("call_1"),
                              QStringLiteral("get_weather"),
                              QStringLiteral("{\"city\": \"Oslo\"}")}};
  answer.results = {QStringLiteral("18 degrees")};
  return answer;
}

}  // namespace

class ChatValuesTest : public QObject {
  Q_OBJECT

 private slots:
  void eventsAreTheSameHoweverTheBytesAreSplit_data();
  void eventsAreTheSameHoweverTheBytesAreSplit();
  void eventsKeepTheirType();
  void theLastEventNeedsItsEmptyLine();

  void chunksAddUpToAnAnswer();
  void callsArriveInPiecesByIndex();
  void thinkingEndsWhenTheAnswerBegins();
  void aBrokenCharacterDoesNotEndTheAnswer();
  void whatIsNoChunkIsAProblem_data();
  void whatIsNoChunkIsAProblem();

  void refusalsSayWhatTheServerSays_data();
  void refusalsSayWhatTheServerSays();
  void brokenConnectionsSayWhatBroke_data();
  void brokenConnectionsSayWhatBroke();
  void endpointsJoinPathsAndHideNames();

  void requestsAskForUsageAndTimings();
  void toolsReachTheServerAsTheyAreWritten();
  void sentResultsFollowTheirCalls();
  void callsWithoutResultsAreNotSent();
  void emptyAnswersAreLeftOut();

  void theWeatherOfACityNeverChanges();
  void cityNamesMayHoldAnyCharacter();
  void toolMistakesAreTextForTheModel_data();
  void toolMistakesAreTextForTheModel();
};

void ChatValuesTest::eventsAreTheSameHoweverTheBytesAreSplit_data() {
  QTest::addColumn<QByteArray>("bytes");
  QTest::addColumn<QList<QByteArray>>("data");
  QTest::newRow("line feeds") << QByteArray("data: a\n\ndata: b\n\n")
                              << QList<QByteArray>{"a", "b"};
  QTest::newRow("carriage returns")
      << QByteArray("data: a\r\rdata: b\r\r") << QList<QByteArray>{"a", "b"};
  QTest::newRow("both") << QByteArray("data: a\r\n\r\ndata: b\r\n\r\n")
                        << QList<QByteArray>{"a", "b"};
  QTest::newRow("several lines") << QByteArray("data: a\r\ndata:\r\ndata: c\r\n\r\n")
                                 << QList<QByteArray>{"a\n\nc"};
  QTest::newRow("one space goes") << QByteArray("data:a\n\ndata:  b\n\n")
                                  << QList<QByteArray>{"a", " b"};
  QTest::newRow("field without colon") << QByteArray("data\n\n") << QList<QByteArray>{""};
  QTest::newRow("comments and unknown fields")
      << QByteArray(": wait\n\nid: 7\nretry: 9\ncolour: red\ndata: a\n: more\n\n\n\n")
      << QList<QByteArray>{"a"};
  QTest::newRow("byte order mark") << QByteArray(
                                          "\xEF\xBB\xBF"
                                          "data: a\n\n")
                                   << QList<QByteArray>{"a"};
  QTest::newRow("characters of several bytes")
      << QByteArray("data: 世界 5¢ 🙂\n\n") << QList<QByteArray>{"世界 5¢ 🙂"};
  QTest::newRow("colons in the data")
      << QByteArray("data: {\"a\": [1]}\n\n") << QList<QByteArray>{"{\"a\": [1]}"};
}

void ChatValuesTest::eventsAreTheSameHoweverTheBytesAreSplit() {
  QFETCH(QByteArray, bytes);
  QFETCH(QList<QByteArray>, data);
  const std::vector<QByteArray> expected(data.begin(), data.end());
  for (qsizetype pieceBytes = 1; pieceBytes <= bytes.size(); ++pieceBytes) {
    QCOMPARE(dataOf(eventsOf(bytes, pieceBytes)), expected);
  }
}

void ChatValuesTest::eventsKeepTheirType() {
  const std::vector<SseEvent> events = eventsOf("event: ping\ndata: a\n\ndata: b\n\n", 3);
  QCOMPARE(events.size(), std::size_t{2});
  QCOMPARE(events[0].type, QByteArray("ping"));
  QCOMPARE(events[1].type, QByteArray());
}

void ChatValuesTest::theLastEventNeedsItsEmptyLine() {
  SseParser parser;
  QVERIFY(parser.feed("data: a\n").empty());
  QVERIFY(parser.pendingBytes() > 0);
  QCOMPARE(parser.feed("\n").size(), std::size_t{1});
  QCOMPARE(parser.pendingBytes(), qsizetype{0});
}

void ChatValuesTest::chunksAddUpToAnAnswer() {
  CompletionReader reader(kServer);
  const std::optional<HttpProblem> problem =
      readAll(reader,
              {chunk(R"({"role":"assistant","content":""})"),
               chunk(R"({"content":"Hello, "})", timings(2, 16)),
               chunk(R"({"content":"世界"})", timings(3, 32)),
               R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null})",
               R"({"choices":[],"usage":{"prompt_tokens":48,"completion_tokens":3,)"
               R"("prompt_tokens_details":{"cached_tokens":16},)"
               R"("completion_tokens_details":{"reasoning_tokens":1}})" +
                   timings(3, 32) + "}",
               "[DONE]"});
  QVERIFY(!problem);
  const Completion& answer = reader.completion();
  QCOMPARE(answer.content, QStringLiteral("Hello, 世界"));
  QCOMPARE(answer.finishReason, QStringLiteral("stop"));
  QVERIFY(answer.usage == (TokenUsage{48, 16, 3, 1}));
  QVERIFY(answer.timings == (AnswerTimings{0.002, 0.078, 0.032, 3, 62.5}));
  QVERIFY(!answer.thinkingSeconds);
}

void ChatValuesTest::callsArriveInPiecesByIndex() {
  CompletionReader reader(kServer);
  const std::optional<HttpProblem> problem =
      readAll(reader,
              {chunk(R"({"tool_calls":[{"index":0,"id":"call_a","type":"function",)"
                     R"("function":{"name":"get_weather","arguments":""}}]})"),
               chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"city\""}}]})"),
               chunk(R"({"tool_calls":[{"index":1,"id":"call_b","type":"function",)"
                     R"("function":{"name":"get_time","arguments":"{}"}},)"
                     R"({"index":0,"function":{"arguments":": \"Oslo\"}"}}]})")});
  QVERIFY(!problem);
  const std::vector<ToolCall> expected{
      {QStringLiteral("call_a"),
       QStringLiteral("get_weather"),
       QStringLiteral("{\"city\": \"Oslo\"}")},
      {QStringLiteral("call_b"), QStringLiteral("get_time"), QStringLiteral("{}")}};
  QCOMPARE(reader.completion().calls, expected);
}

void ChatValuesTest::thinkingEndsWhenTheAnswerBegins() {
  CompletionReader reader(kServer);
  QVERIFY(!readAll(reader,
                   {chunk(R"({"reasoning_content":"17 + 25"})", timings(1, 0)),
                    chunk(R"({"reasoning_content":" = 42"})", timings(4, 120))}));
  QVERIFY(!reader.completion().thinkingSeconds);
  QVERIFY(!readAll(reader,
                   {chunk(R"({"content":"42"})", timings(6, 200)),
                    chunk(R"({"content":"."})", timings(7, 300))}));
  QCOMPARE(reader.completion().reasoning, QStringLiteral("17 + 25 = 42"));
  QCOMPARE(reader.completion().thinkingSeconds, std::optional<double>(0.2));
}

void ChatValuesTest::aBrokenCharacterDoesNotEndTheAnswer() {
  CompletionReader reader(kServer);
  QVERIFY(!readAll(reader, {chunk("{\"content\":\"5\xC2 cents\"}"), chunk(R"({"content":"!"})")}));
  QCOMPARE(reader.completion().content, QStringLiteral("5\uFFFD cents!"));
}

void ChatValuesTest::whatIsNoChunkIsAProblem_data() {
  QTest::addColumn<QByteArray>("data");
  QTest::addColumn<QString>("word");
  QTest::newRow("text") << QByteArray("<html>") << "not JSON: <html>";
  QTest::newRow("cut JSON") << QByteArray("{\"choices\":[{") << "not JSON";
  QTest::newRow("error object")
      << QByteArray(R"({"error":{"message":"rank 1 is gone","code":"unavailable"}})")
      << "Rank 1 is gone.";
  QTest::newRow("error without words") << QByteArray(R"({"error":{}})") << "no reason";
  QTest::newRow("call without index")
      << chunk(R"({"tool_calls":[{"function":{"arguments":"x"}}]})") << "tool call -1";
  QTest::newRow("call out of turn")
      << chunk(R"({"tool_calls":[{"index":2000000000,"id":"x"}]})") << "tool call 2000000000";
}

void ChatValuesTest::whatIsNoChunkIsAProblem() {
  QFETCH(QByteArray, data);
  QFETCH(QString, word);
  CompletionReader reader(kServer);
  const std::optional<HttpProblem> problem = readAll(reader, {chunk(R"({"content":"so "})"), data});
  QVERIFY(problem.has_value());
  QVERIFY2(problem->what.contains(word), qPrintable(problem->what));
  QVERIFY(!problem->remedy.isEmpty());
  QCOMPARE(reader.completion().content, QStringLiteral("so "));
}

void ChatValuesTest::refusalsSayWhatTheServerSays_data() {
  QTest::addColumn<int>("status");
  QTest::addColumn<QByteArray>("body");
  QTest::addColumn<QByteArray>("retryAfter");
  QTest::addColumn<QString>("what");
  QTest::addColumn<QString>("code");
  QTest::addColumn<QString>("remedy");
  QTest::newRow("queue full")
      << 429 << QByteArray(R"({"error":{"message":"64 requests wait","code":"queue_full"}})")
      << QByteArray("3") << "64 requests wait."
      << "queue_full"
      << "3 s.";
  QTest::newRow("too long")
      << 400 << QByteArray(R"({"error":{"message":"Too long.","code":"context_length_exceeded"}})")
      << QByteArray() << "Too long."
      << "context_length_exceeded"
      << "new chat";
  QTest::newRow("wrong key") << 401 << QByteArray(R"({"error":{"message":"no","code":null}})")
                             << QByteArray() << "No."
                             << ""
                             << "API key";
  QTest::newRow("flat error, number as code")
      << 500 << QByteArray(R"({"object":"error","message":"broken","code":500})") << QByteArray()
      << "Broken."
      << "500"
      << "log";
  QTest::newRow("error is a string")
      << 503 << QByteArray(R"({"error":"loading"})") << QByteArray() << "Loading."
      << ""
      << "Engine page";
  QTest::newRow("detail") << 422 << QByteArray(R"({"detail":"bad field"})") << QByteArray()
                          << "Bad field."
                          << ""
                          << "";
  QTest::newRow("a web page") << 404 << QByteArray("<html>") << QByteArray()
                              << "host:1 answered with HTTP status 404 and no reason."
                              << ""
                              << "/v1";
  QTest::newRow("nothing") << 502 << QByteArray() << QByteArray("soon")
                           << "host:1 answered with HTTP status 502 and no reason."
                           << ""
                           << "log";
}

void ChatValuesTest::refusalsSayWhatTheServerSays() {
  QFETCH(int, status);
  QFETCH(QByteArray, body);
  QFETCH(QByteArray, retryAfter);
  QFETCH(QString, what);
  QFETCH(QString, code);
  QFETCH(QString, remedy);
  const HttpProblem problem = problemOfAnswer(status, body, retryAfter, kServer);
  QCOMPARE(problem.status, status);
  QCOMPARE(problem.what, what);
  QCOMPARE(problem.code, code);
  QVERIFY2(remedy.isEmpty() ? problem.remedy.isEmpty() : problem.remedy.contains(remedy),
           qPrintable(problem.remedy));
  QCOMPARE(problem.retryAfterSeconds.has_value(), retryAfter == "3");
}

void ChatValuesTest::brokenConnectionsSayWhatBroke_data() {
  QTest::addColumn<int>("error");
  QTest::addColumn<bool>("answerBegan");
  QTest::addColumn<QString>("what");
  QTest::newRow("nobody there") << int(QNetworkReply::ConnectionRefusedError) << false
                                << "Nothing answers at host:1.";
  QTest::newRow("no such host") << int(QNetworkReply::HostNotFoundError) << false
                                << "host:1 cannot be reached: Host not found.";
  QTest::newRow("closed at once") << int(QNetworkReply::RemoteHostClosedError) << false
                                  << "host:1 closed the connection without an answer.";
  QTest::newRow("closed in the middle") << int(QNetworkReply::RemoteHostClosedError) << true
                                        << "The connection to host:1 closed before the answer "
                                           "ended.";
  QTest::newRow("silence") << int(QNetworkReply::OperationCanceledError) << true
                           << "host:1 was silent for too long.";
}

void ChatValuesTest::brokenConnectionsSayWhatBroke() {
  QFETCH(int, error);
  QFETCH(bool, answerBegan);
  QFETCH(QString, what);
  const HttpProblem problem = problemOfNetwork(static_cast<QNetworkReply::NetworkError>(error),
                                               QStringLiteral("Host not found"),
                                               kServer,
                                               answerBegan);
  QCOMPARE(problem.what, what);
  QVERIFY(!problem.remedy.isEmpty());
}

void ChatValuesTest::endpointsJoinPathsAndHideNames() {
  const QUrl expected(QStringLiteral("http://me:pw@127.0.0.1:8000/v1/models"));
  for (const char* base : {"http://me:pw@127.0.0.1:8000/v1", "http://me:pw@127.0.0.1:8000/v1//"}) {
    const Endpoint endpoint{QUrl(QLatin1String(base)), {}};
    QCOMPARE(endpoint.resolve(QStringLiteral("/models")), expected);
    QCOMPARE(endpoint.server(), QStringLiteral("127.0.0.1:8000"));
  }
}

void ChatValuesTest::requestsAskForUsageAndTimings() {
  ChatRequest request;
  request.messages = {{ChatRole::User, QStringLiteral("Hi"), {}, {}, {}}};
  const QJsonObject plain = QJsonDocument::fromJson(requestBody(request)).object();
  QCOMPARE(plain[u"stream"].toBool(), true);
  QCOMPARE(plain[u"stream_options"].toObject()[u"include_usage"].toBool(), true);
  QCOMPARE(plain[u"timings_per_token"].toBool(), true);
  QCOMPARE(plain[u"thinking"].toObject()[u"type"].toString(), QStringLiteral("disabled"));
  for (const char* absent : {"model", "temperature", "tools"}) {
    QVERIFY(!plain.contains(QLatin1String(absent)));
  }
  request.model = QStringLiteral("demo");
  request.thinking = true;
  request.temperature = 0.0;
  const QJsonObject full = QJsonDocument::fromJson(requestBody(request)).object();
  QCOMPARE(full[u"model"].toString(), QStringLiteral("demo"));
  QCOMPARE(full[u"thinking"].toObject()[u"type"].toString(), QStringLiteral("enabled"));
  QVERIFY(full[u"temperature"].isDouble());
}

void ChatValuesTest::toolsReachTheServerAsTheyAreWritten() {
  ChatRequest request;
  request.messages = {{ChatRole::User, QStringLiteral("Hi"), {}, {}, {}}};
  const QByteArray first = R"({"type":"function","function":{"name":"z","description":"a"}})";
  const QByteArray second = demoWeatherTool().definition;
  request.tools = {first, second};
  const QByteArray body = requestBody(request);
  QVERIFY(body.contains(R"("tools":[)" + first + "," + second + "]}"));
  const QJsonArray tools = QJsonDocument::fromJson(body).object()[u"tools"].toArray();
  QCOMPARE(tools.size(), 2);
  QCOMPARE(tools[1].toObject()[u"function"].toObject()[u"name"].toString(), demoWeatherTool().name);
}

void ChatValuesTest::sentResultsFollowTheirCalls() {
  AnswerTurn answer = callingAnswer();
  answer.completion.reasoning = QStringLiteral("I call it.");
  answer.resultsSent = true;
  const std::vector<ChatMessage> messages =
      messagesOf({UserTurn{QStringLiteral("Weather?")}, answer});
  QCOMPARE(messages.size(), std::size_t{3});
  QCOMPARE(messages[1].calls, answer.completion.calls);
  QCOMPARE(messages[1].reasoning, answer.completion.reasoning);
  QVERIFY(messages[2].role == ChatRole::Tool);
  QCOMPARE(messages[2].callId, QStringLiteral("call_1"));
  QCOMPARE(messages[2].content, QStringLiteral("18 degrees"));

  ChatRequest request;
  request.messages = messages;
  const QJsonArray json =
      QJsonDocument::fromJson(requestBody(request)).object()[u"messages"].toArray();
  QCOMPARE(json[0].toObject()[u"role"].toString(), QStringLiteral("user"));
  QCOMPARE(json[1].toObject()[u"reasoning_content"].toString(), QStringLiteral("I call it."));
  const QJsonObject call = json[1].toObject()[u"tool_calls"].toArray()[0].toObject();
  QCOMPARE(call[u"id"].toString(), QStringLiteral("call_1"));
  QCOMPARE(call[u"function"].toObject()[u"arguments"].toString(),
           QStringLiteral("{\"city\": \"Oslo\"}"));
  QCOMPARE(json[2].toObject()[u"tool_call_id"].toString(), QStringLiteral("call_1"));
}

void ChatValuesTest::callsWithoutResultsAreNotSent() {
  AnswerTurn answer = callingAnswer();
  answer.completion.content = QStringLiteral("Let me look.");
  const std::vector<ChatMessage> messages =
      messagesOf({UserTurn{QStringLiteral("Weather?")}, answer});
  QCOMPARE(messages.size(), std::size_t{2});
  QVERIFY(messages[1].calls.empty());
  QCOMPARE(messages[1].content, QStringLiteral("Let me look."));
}

void ChatValuesTest::emptyAnswersAreLeftOut() {
  AnswerTurn failed;
  failed.state = AnswerState::Failed;
  const std::vector<ChatMessage> messages =
      messagesOf({UserTurn{QStringLiteral("One")}, failed, UserTurn{QStringLiteral("Two")}});
  QCOMPARE(messages.size(), std::size_t{2});
  QCOMPARE(messages[1].content, QStringLiteral("Two"));
}

void ChatValuesTest::theWeatherOfACityNeverChanges() {
  const ToolRegistry registry({demoWeatherTool()});
  const auto weather = [&registry](const char* city) {
    return registry.run({{},
                         QStringLiteral("get_weather"),
                         QStringLiteral("{\"city\": \"%1\"}").arg(QString::fromUtf8(city))});
  };
  QCOMPARE(weather("Tokyo"),
           QStringLiteral(R"({"city": "Tokyo", "temperature_c": 30, "condition": "sunny"})"));
  QCOMPARE(weather("New York"),
           QStringLiteral(R"({"city": "New York", "temperature_c": 4, "condition": "sunny"})"));
  QCOMPARE(weather(" new  york ").section(QLatin1Char(','), 1),
           weather("New York").section(QLatin1Char(','), 1));
}

void ChatValuesTest::cityNamesMayHoldAnyCharacter() {
  const QString city = QStringLiteral("\"São\" %1 %2 \\ 東京\n");
  const QString result = demoWeatherTool().run({{QStringLiteral("city"), city}});
  const QJsonDocument json = QJsonDocument::fromJson(result.toUtf8());
  QCOMPARE(json.object()[u"city"].toString(), city.trimmed());
  QVERIFY(json.object()[u"temperature_c"].isDouble());
}

void ChatValuesTest::toolMistakesAreTextForTheModel_data() {
  QTest::addColumn<QString>("name");
  QTest::addColumn<QString>("arguments");
  QTest::addColumn<QString>("reason");
  QTest::newRow("unknown tool") << "get_news"
                                << "{}"
                                << "no tool named get_news";
  QTest::newRow("broken arguments") << "get_weather"
                                    << "{\"city\":"
                                    << "not a JSON object";
  QTest::newRow("arguments are a list") << "get_weather"
                                        << "[]"
                                        << "not a JSON object";
  QTest::newRow("no city") << "get_weather"
                           << "{\"town\": \"Oslo\"}"
                           << "city is missing";
}

void ChatValuesTest::toolMistakesAreTextForTheModel() {
  QFETCH(QString, name);
  QFETCH(QString, arguments);
  QFETCH(QString, reason);
  const ToolRegistry registry({demoWeatherTool()});
  const QString result = registry.run({{}, name, arguments});
  const QString error = QJsonDocument::fromJson(result.toUtf8()).object()[u"error"].toString();
  QVERIFY2(error.contains(reason), qPrintable(result));
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::ChatValuesTest)
#include "chat_values_test.moc"
