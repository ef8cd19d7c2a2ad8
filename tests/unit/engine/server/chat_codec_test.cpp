// SPDX-License-Identifier: GPL-3.0-or-later
// Chat requests and answers as JSON, without sockets.
#include <nlohmann/json.hpp>

#include <QTest>

#include "engine/server/chat_reply_codec.h"
#include "engine/server/chat_request_codec.h"

using namespace tandem;
using namespace tandem::server;
using tokenizer::ReasoningEffort;
using tokenizer::ThinkingMode;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kHello = R"("messages":[{"role":"user","content":"Hi"}])";

/// A request with the usual message and the given further fields.
std::string bodyWith(const std::string& fields) {
  return std::string("{") + kHello + (fields.empty() ? "" : ",") + fields + "}";
}

std::string messageBody(const std::string& messages) {
  return R"({"messages":)" + messages + "}";
}

ChatRequest parsed(const std::string& body, bool defaultThinking = false) {
  ApiResult<ChatRequest> request = parseChatRequest(body, defaultThinking);
  if (!request) {
    qFatal("%s", request.error().message.c_str());
  }
  return std::move(*request);
}

/// The chunks of a stream text, [DONE] left out.
std::vector<Json> chunksOf(const std::string& stream) {
  std::vector<Json> chunks;
  std::size_t at = 0;
  while (at < stream.size()) {
    const std::size_t end = stream.find("\n\n", at);
    const std::string data = stream.substr(at + 6, end - at - 6);
    if (data != "[DONE]") {
      chunks.push_back(Json::parse(data));
    }
    at = end + 2;
  }
  return chunks;
}

ReplyHead head() {
  return {"chatcmpl-x", 1700000000, "fake-v4", "fp"};
}

ReplyUsage usage() {
  ReplyUsage usage;
  usage.tokens = {100, 60, 21};
  usage.reasoningTokens = 4;
  return usage;
}

api::RequestTimings timings() {
  using namespace std::chrono_literals;
  return {5ms, 200ms, 500ms};
}

}  // namespace

class ChatCodecTest : public QObject {
  Q_OBJECT

 private slots:
  void aPlainRequestGetsTheDefaults() {
    const ChatRequest request = parsed(bodyWith(""));
    QCOMPARE(request.conversation.messages.size(), 1U);
    QCOMPARE(request.conversation.messages[0].role, std::string("user"));
    QCOMPARE(request.conversation.messages[0].content, std::string("Hi"));
    QCOMPARE(request.conversation.thinking, ThinkingMode::Chat);
    QCOMPARE(request.sampling.temperature, 1.0);
    QCOMPARE(request.sampling.topP, 1.0);
    QVERIFY(!request.sampling.maxTokens);
    QVERIFY(!request.stream);
    QVERIFY(request.parallelToolCalls);
  }

  void contentMayBeAListOfParts() {
    const ChatRequest request = parsed(messageBody(
        R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"));
    QCOMPARE(request.conversation.messages[0].content, std::string("a\n\nb"));
  }

  void anAssistantTurnKeepsItsCallsAndReasoning() {
    const ChatRequest request = parsed(messageBody(R"([
        {"role":"user","content":"w"},
        {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[
          {"id":"c1","type":"function","function":{"name":"f","arguments":"{ \u0022a\u0022: 1.0}"}},
          {"id":"c2","type":"function","function":{"name":"g","arguments":{"b":2}}}]},
        {"role":"tool","tool_call_id":"c1","content":"one"}])"));
    const auto& assistant = request.conversation.messages[1];
    QCOMPARE(assistant.content, std::string());
    QCOMPARE(assistant.reasoningContent, std::string("r"));
    QCOMPARE(assistant.toolCalls.size(), 2U);
    QCOMPARE(assistant.toolCalls[0].argumentsJson, std::string("{ \"a\": 1.0}"));
    QCOMPARE(assistant.toolCalls[1].argumentsJson, std::string("{\"b\": 2}"));
    QCOMPARE(request.conversation.messages[2].toolCallId, std::string("c1"));
  }

  void aDeveloperMessageIsASystemMessage() {
    const ChatRequest request = parsed(
        messageBody(R"([{"role":"developer","content":"S"},{"role":"user","content":"u"}])"));
    QCOMPARE(request.conversation.messages[0].role, std::string("system"));
  }

  void toolsKeepTheirKeyOrderAndNumberSpelling() {
    const ChatRequest request =
        parsed(bodyWith(R"("tools":[{"type":"function","function":{"name":"f","parameters":
        {"zeta":1.0,"alpha":12345678901234567890123}}},{"type":"web_search"}])"));
    QCOMPARE(request.conversation.toolsJson,
             std::string(R"([{"type": "function", "function": {"name": "f", "parameters": )"
                         R"({"zeta": 1.0, "alpha": 12345678901234567890123}}}])"));
  }

  void whatAsksForThinkingIsUnderstood_data() {
    QTest::addColumn<QByteArray>("fields");
    QTest::addColumn<bool>("byDefault");
    QTest::addColumn<bool>("thinking");
    QTest::newRow("nothing, off by default") << QByteArray("") << false << false;
    QTest::newRow("nothing, on by default") << QByteArray("") << true << true;
    QTest::newRow("thinking.type")
        << QByteArray(R"("thinking":{"type":"enabled"})") << false << true;
    QTest::newRow("disabled beats effort")
        << QByteArray(R"("thinking":{"type":"disabled"},"reasoning_effort":"high")") << true
        << false;
    QTest::newRow("template") << QByteArray(R"("chat_template_kwargs":{"thinking":true})") << false
                              << true;
    QTest::newRow("template, Qwen's name")
        << QByteArray(R"("chat_template_kwargs":{"enable_thinking":false})") << true << false;
    QTest::newRow("effort") << QByteArray(R"("reasoning_effort":"low")") << false << true;
    QTest::newRow("effort none") << QByteArray(R"("reasoning_effort":"none")") << true << false;
    QTest::newRow("think") << QByteArray(R"("think":false)") << true << false;
    QTest::newRow("reasoning.enabled")
        << QByteArray(R"("reasoning":{"enabled":true})") << false << true;
    QTest::newRow("deepseek-reasoner")
        << QByteArray(R"("model":"deepseek-reasoner")") << false << true;
    QTest::newRow("deepseek-chat") << QByteArray(R"("model":"deepseek-chat")") << true << false;
    QTest::newRow("field beats alias")
        << QByteArray(R"("model":"deepseek-reasoner","thinking":{"type":"disabled"})") << false
        << false;
  }

  void whatAsksForThinkingIsUnderstood() {
    QFETCH(QByteArray, fields);
    QFETCH(bool, byDefault);
    QFETCH(bool, thinking);
    const ChatRequest request = parsed(bodyWith(fields.toStdString()), byDefault);
    QCOMPARE(request.conversation.thinking == ThinkingMode::Thinking, thinking);
  }

  void effortLevelsAreMappedAsTheHostedApiDoes() {
    const auto effort = [](const std::string& name) {
      return parsed(bodyWith("\"reasoning_effort\":\"" + name + "\"")).conversation.effort;
    };
    QCOMPARE(effort("minimal"), ReasoningEffort::Low);
    QCOMPARE(effort("medium"), ReasoningEffort::High);
    QCOMPARE(effort("xhigh"), ReasoningEffort::High);
    QCOMPARE(effort("ultra"), ReasoningEffort::Max);
  }

  void neutralAndUnknownFieldsAreIgnored() {
    const ChatRequest request = parsed(bodyWith(
        R"("n":1,"logprobs":false,"top_logprobs":0,"frequency_penalty":0,"presence_penalty":0.0,
        "logit_bias":{},"response_format":{"type":"text"},"top_k":-1,"user":"u","store":false,
        "metadata":{"a":"b"},"service_tier":"auto","verbosity":"low","made_up":[1,2],
        "temperature":null,"stop":null,"tools":null,"max_tokens":null,"seed":null)"));
    QVERIFY(request.stop.empty());
  }

  void samplingFieldsArrive() {
    const ChatRequest request = parsed(bodyWith(
        R"("temperature":0.5,"top_p":0.9,"seed":-7,"max_tokens":10,"max_completion_tokens":20,
        "stop":["a","b"],"stream":true,"stream_options":{"include_usage":true})"));
    QCOMPARE(request.sampling.temperature, 0.5);
    QCOMPARE(request.sampling.topP, 0.9);
    QCOMPARE(*request.sampling.seed, static_cast<std::uint64_t>(-7));
    QCOMPARE(*request.sampling.maxTokens, 20);
    QCOMPARE(request.stop, (std::vector<std::string>{"a", "b"}));
    QVERIFY(request.stream && request.includeUsage);
  }

  void aNucleusOfNothingIsGreedy() {
    QCOMPARE(parsed(bodyWith(R"("top_p":0)")).sampling.temperature, 0.0);
  }

  void badFieldsAreRefusedWithTheirPath_data() {
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QByteArray>("param");
    QTest::addColumn<QByteArray>("message");
    const auto row =
        [](const char* name, const std::string& body, const char* param, const char* message) {
          QTest::newRow(name) << QByteArray::fromStdString(body) << QByteArray(param)
                              << QByteArray(message);
        };
    row("no messages", "{}", "messages", "messages: is missing; expected a list");
    row("empty messages", messageBody("[]"), "messages", "messages: expected at least one message");
    row("messages no list",
        messageBody("{}"),
        "messages",
        "messages: expected a list, got an object");
    row("message no object",
        messageBody("[7]"),
        "messages[0]",
        "messages[0]: expected an object, got 7");
    row("content",
        messageBody(R"([{"role":"user","content":"a"},{"role":"user","content":"b"},
                        {"role":"user","content":5}])"),
        "messages[2].content",
        "messages[2].content: expected a string or a list of parts");
    row("unknown role",
        messageBody(R"([{"role":"wizard","content":"a"}])"),
        "messages[0].role",
        "messages[0].role: \"wizard\" is not a role");
    row("no role",
        messageBody(R"([{"content":"a"}])"),
        "messages[0].role",
        "messages[0].role: is missing; expected a string");
    row("image",
        messageBody(R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])"),
        "messages[0].content[0].type",
        "this model reads text only, not image_url");
    row("assistant last",
        messageBody(R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"),
        "messages[1]",
        "the last message is the assistant's own");
    row("tools no list", bodyWith(R"("tools":{})"), "tools", "tools: expected a list");
    row("tool no object",
        bodyWith(R"("tools":["f"])"),
        "tools[0]",
        "tools[0]: expected an object, got \"f\"");
    row("schema no object",
        bodyWith(R"("tools":[{"type":"function","function":{"name":"f","parameters":[1]}}])"),
        "tools[0].function.parameters",
        "expected an object, got a list");
    row("tool without name",
        bodyWith(R"("tools":[{"type":"function","function":{}}])"),
        "tools[0].function.name",
        "is missing; expected a string");
    row("choice of no tool",
        bodyWith(R"("tool_choice":{"type":"function","function":{"name":"g"}})"),
        "tool_choice.function.name",
        "\"g\" is not among the tools");
    row("required without tools",
        bodyWith(R"("tool_choice":"required")"),
        "tool_choice",
        "needs tools");
    row("n", bodyWith(R"("n":2)"), "n", "n: is not supported yet; leave it out or send 1");
    row("logprobs", bodyWith(R"("logprobs":true)"), "logprobs", "is not supported yet");
    row("penalty",
        bodyWith(R"("frequency_penalty":0.5)"),
        "frequency_penalty",
        "is not supported yet; leave it out or send 0");
    row("response_format",
        bodyWith(R"("response_format":{"type":"json_object"})"),
        "response_format",
        "only {\"type\": \"text\"} is supported yet");
    row("logit_bias", bodyWith(R"("logit_bias":{"5":1})"), "logit_bias", "is not supported yet");
    row("temperature",
        bodyWith(R"("temperature":3)"),
        "temperature",
        "temperature: 3 is outside 0 to 2");
    row("max_tokens", bodyWith(R"("max_tokens":0)"), "max_tokens", "max_tokens: 0 is outside 1");
    row("max_tokens text",
        bodyWith(R"("max_tokens":"5")"),
        "max_tokens",
        "max_tokens: expected a whole number, got \"5\"");
    row("stop", bodyWith(R"("stop":[""])"), "stop[0]", "expected a string that is not empty");
    row("stream", bodyWith(R"("stream":"yes")"), "stream", "expected true or false, got \"yes\"");
    row("effort", bodyWith(R"("reasoning_effort":"huge")"), "reasoning_effort", "expected none");
    row("no JSON", "{\"messages\":", "", "the body is not usable JSON");
    row("a list", "[1]", "body", "body: expected an object, got a list");
    row("invalid UTF-8",
        messageBody("[{\"role\":\"user\",\"content\":\"\xC3\x28\"}]"),
        "",
        "the body is not usable JSON");
    row("2 MB of nesting", std::string(2'000'000, '['), "", "the body is not usable JSON");
  }

  void badFieldsAreRefusedWithTheirPath() {
    QFETCH(QByteArray, body);
    QFETCH(QByteArray, param);
    QFETCH(QByteArray, message);
    const ApiResult<ChatRequest> request = parseChatRequest(body.toStdString(), false);
    QVERIFY(!request);
    const ApiError& error = request.error();
    QCOMPARE(error.status, 400);
    QCOMPARE(error.type, std::string("invalid_request_error"));
    QCOMPARE(QByteArray::fromStdString(error.param), param);
    QVERIFY2(QByteArray::fromStdString(error.message).contains(message), error.message.c_str());
  }

  void aLoneSurrogateIsRepaired() {
    const ChatRequest request = parsed(messageBody(R"([{"role":"user","content":"a\ud83db"}])"));
    QCOMPARE(request.conversation.messages[0].content,
             std::string("a\xEF\xBF\xBD"
                         "b"));
  }

  void aWholeAnswerHasTheShapeOfOpenAi() {
    ChatReply reply;
    reply.reasoning = "r";
    reply.content = "c";
    const Json json = Json::parse(completionJson(head(), reply, "stop", usage(), timings()));
    QCOMPARE(json["object"].get<std::string>(), std::string("chat.completion"));
    QCOMPARE(json["id"].get<std::string>(), std::string("chatcmpl-x"));
    const Json& choice = json["choices"][0];
    QCOMPARE(choice["message"]["role"].get<std::string>(), std::string("assistant"));
    QCOMPARE(choice["message"]["content"].get<std::string>(), std::string("c"));
    QCOMPARE(choice["message"]["reasoning_content"].get<std::string>(), std::string("r"));
    QVERIFY(!choice["message"].contains("tool_calls"));
    QCOMPARE(choice["finish_reason"].get<std::string>(), std::string("stop"));
    QVERIFY(choice["logprobs"].is_null());
  }

  void usageCountsWhatWasCachedAndReasoned() {
    const Json json = Json::parse(completionJson(head(), {}, "stop", usage(), timings()));
    const Json expected = Json::parse(R"({"prompt_tokens":100,"completion_tokens":21,
        "total_tokens":121,"prompt_tokens_details":{"cached_tokens":60},
        "completion_tokens_details":{"reasoning_tokens":4},
        "prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40})");
    QCOMPARE(json["usage"].dump(), expected.dump());
  }

  void timingsAreRatesOfWhatWasDone() {
    const Json json = Json::parse(completionJson(head(), {}, "stop", usage(), timings()));
    const Json& t = json["timings"];
    QCOMPARE(t["prompt_n"].get<int>(), 40);
    QCOMPARE(t["cache_n"].get<int>(), 60);
    QCOMPARE(t["prompt_per_second"].get<double>(), 200.0);    // 40 tokens in 0.2 s
    QCOMPARE(t["predicted_per_second"].get<double>(), 40.0);  // 20 intervals in 0.5 s
    QCOMPARE(t["predicted_n"].get<int>(), 21);
  }

  void contentIsNullBesideOnlyToolCalls() {
    ChatReply reply;
    reply.toolCalls.push_back({"callA", "f", "{}"});
    const Json json = Json::parse(completionJson(head(), reply, "tool_calls", usage(), timings()));
    const Json& message = json["choices"][0]["message"];
    QVERIFY(message["content"].is_null());
    QCOMPARE(message["tool_calls"].dump(),
             std::string(R"([{"id":"callA","type":"function",)"
                         R"("function":{"name":"f","arguments":"{}"}}])"));
  }

  void chunksHaveTheShapesOfOpenAi() {
    const ChunkWriter writer(head(), true, false);
    ReplyProgress progress;
    progress.events = {ReasoningText{"r"},
                       ContentText{"c"},
                       ToolCallBegin{0, "callA", "f"},
                       ToolCallArguments{0, "{}"},
                       ToolCallEnd{0}};
    const std::string stream =
        writer.role() + writer.events(progress) + writer.finish("tool_calls", usage(), timings());
    QVERIFY(stream.size() > 14);
    QCOMPARE(stream.substr(stream.size() - 14), std::string("data: [DONE]\n\n"));
    const std::vector<Json> chunks = chunksOf(stream);
    const std::vector<std::string> deltas{
        R"({"role":"assistant","content":""})",
        R"({"reasoning_content":"r"})",
        R"({"content":"c"})",
        R"({"tool_calls":[{"index":0,"id":"callA","type":"function","function":{"name":"f","arguments":""}}]})",
        R"({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})",
        "{}"};
    QCOMPARE(chunks.size(), deltas.size() + 1);
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      QCOMPARE(chunks[i]["object"].get<std::string>(), std::string("chat.completion.chunk"));
      QCOMPARE(chunks[i]["choices"][0]["delta"].dump(), deltas[i]);
      QVERIFY(chunks[i]["usage"].is_null());
    }
    QCOMPARE(chunks[deltas.size() - 1]["choices"][0]["finish_reason"].get<std::string>(),
             std::string("tool_calls"));
    const Json& last = chunks.back();
    QVERIFY(last["choices"].empty());
    QCOMPARE(last["usage"]["completion_tokens"].get<int>(), 21);
    QVERIFY(last.contains("timings"));
  }

  void withoutIncludeUsageNoChunkHasUsage() {
    const ChunkWriter writer(head(), false, false);
    const std::vector<Json> chunks =
        chunksOf(writer.role() + writer.finish("stop", usage(), timings()));
    QCOMPARE(chunks.size(), 2U);
    QVERIFY(!chunks[0].contains("usage"));
    QVERIFY(!chunks[1].contains("usage"));
    QVERIFY(chunks[1].contains("timings"));
  }

  void anErrorInMidStreamIsOneEventWithoutDone() {
    const std::string event = ChunkWriter::error(notReady("unavailable", "gone"));
    QCOMPARE(event,
             std::string("data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\","
                         "\"param\":null,\"code\":\"unavailable\"}}\n\n"));
  }
};

QTEST_APPLESS_MAIN(ChatCodecTest)
#include "chat_codec_test.moc"
