// SPDX-License-Identifier: GPL-3.0-or-later
// Chat requests and answers as JSON, without sockets.
#include <limits>

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

/// A whole answer with one choice, as JSON.
Json wholeAnswer(ChatReply reply = {}, const std::string& finishReason = "stop") {
  reply.finishReason = finishReason;
  using namespace std::chrono_literals;
  return Json::parse(completionJson(head(), std::vector{reply}, usage(), {5ms, 200ms, 500ms}));
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

  void everySamplingFieldArrives() {
    const ChatRequest request = parsed(bodyWith(
        R"("top_k":40,"min_p":0.05,"presence_penalty":-0.5,"frequency_penalty":1.5,
        "repetition_penalty":1.1,"logit_bias":{"7":-100,"50":2.5},"logprobs":true,
        "top_logprobs":3,"n":4,"ignore_eos":true)"));
    const api::SamplingParams& sampling = request.sampling;
    QCOMPARE(sampling.topK, 40);
    QCOMPARE(sampling.minP, 0.05);
    QCOMPARE(sampling.presencePenalty, -0.5);
    QCOMPARE(sampling.frequencyPenalty, 1.5);
    QCOMPARE(sampling.repetitionPenalty, 1.1);
    QCOMPARE(sampling.logitBias, (std::vector<api::LogitBias>{{7, -100}, {50, 2.5}}));
    QVERIFY(sampling.logprobs && sampling.ignoreEos);
    QCOMPARE(sampling.topLogprobs, 3);
    QCOMPARE(request.choices, 4);
  }

  void aTopKOfZeroOrMinusOneIsNone() {
    QCOMPARE(parsed(bodyWith(R"("top_k":0)")).sampling.topK, 0);
    QCOMPARE(parsed(bodyWith(R"("top_k":-1)")).sampling.topK, 0);
  }

  void theThinkingBudgetHasThreeNames() {
    const auto budget = [](const std::string& fields) {
      return parsed(bodyWith(fields)).thinkingTokens;
    };
    QVERIFY(!budget("").has_value());
    QCOMPARE(budget(R"("thinking_token_budget":0)"), std::optional<std::int64_t>(0));
    QCOMPARE(budget(R"("thinking":{"type":"enabled","budget_tokens":7168})"),
             std::optional<std::int64_t>(7168));
    QCOMPARE(budget(R"("reasoning":{"max_tokens":5})"), std::optional<std::int64_t>(5));
    QCOMPARE(budget(R"("thinking_token_budget":3,"thinking":{"budget_tokens":9})"),
             std::optional<std::int64_t>(3));
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
    row("n", bodyWith(R"("n":9)"), "n", "n: 9 is outside 1 to 8");
    row("logprobs",
        bodyWith(R"("logprobs":5)"),
        "logprobs",
        "logprobs: expected true or false, got 5");
    row("top_logprobs",
        bodyWith(R"("logprobs":true,"top_logprobs":21)"),
        "top_logprobs",
        "top_logprobs: 21 is outside 0 to 20");
    row("top_logprobs alone",
        bodyWith(R"("top_logprobs":2)"),
        "top_logprobs",
        "top_logprobs: needs \"logprobs\": true");
    row("frequency_penalty",
        bodyWith(R"("frequency_penalty":2.5)"),
        "frequency_penalty",
        "frequency_penalty: 2.5 is outside -2 to 2");
    row("presence_penalty",
        bodyWith(R"("presence_penalty":"a")"),
        "presence_penalty",
        "presence_penalty: expected a number, got \"a\"");
    row("repetition_penalty",
        bodyWith(R"("repetition_penalty":0)"),
        "repetition_penalty",
        "repetition_penalty: 0 is outside 0.01 to 100");
    row("min_p", bodyWith(R"("min_p":1.5)"), "min_p", "min_p: 1.5 is outside 0 to 1");
    row("top_k", bodyWith(R"("top_k":-2)"), "top_k", "top_k: -2 is outside -1 to");
    row("top_k, half", bodyWith(R"("top_k":1.5)"), "top_k", "top_k: expected a whole number");
    row("ignore_eos", bodyWith(R"("ignore_eos":1)"), "ignore_eos", "expected true or false, got 1");
    row("thinking budget",
        bodyWith(R"("thinking":{"type":"enabled","budget_tokens":-5})"),
        "thinking.budget_tokens",
        "thinking.budget_tokens: -5 is outside 0 to");
    row("thinking budget of vLLM",
        bodyWith(R"("thinking_token_budget":"all")"),
        "thinking_token_budget",
        "expected a whole number, got \"all\"");
    row("seventeen stop strings",
        bodyWith(R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])"),
        "stop",
        "stop: 17 strings are more than the 16 that are supported");
    row("response_format",
        bodyWith(R"("response_format":{"type":"json_object"})"),
        "response_format",
        "only {\"type\": \"text\"} is supported yet");
    row("logit_bias no object",
        bodyWith(R"("logit_bias":[5])"),
        "logit_bias",
        "logit_bias: expected an object, got a list");
    row("logit_bias beyond its range",
        bodyWith(R"("logit_bias":{"5":1,"6":-101})"),
        "logit_bias.6",
        "logit_bias.6: -101 is outside -100 to 100");
    for (const char* key : {"foo", "-1", "05", "5.0", "", "99999999999"}) {
      row(("logit_bias of \"" + std::string(key) + "\"").c_str(),
          bodyWith(R"("logit_bias":{")" + std::string(key) + R"(":1})"),
          ("logit_bias." + std::string(key)).c_str(),
          "is no token id");
    }
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
    const Json json = wholeAnswer(reply);
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
    const Json json = wholeAnswer();
    const Json expected = Json::parse(R"({"prompt_tokens":100,"completion_tokens":21,
        "total_tokens":121,"prompt_tokens_details":{"cached_tokens":60},
        "completion_tokens_details":{"reasoning_tokens":4},
        "prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40})");
    QCOMPARE(json["usage"].dump(), expected.dump());
  }

  void timingsAreRatesOfWhatWasDone() {
    const Json json = wholeAnswer();
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
    const Json json = wholeAnswer(reply, "tool_calls");
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
    const std::string stream = writer.role(0) + writer.events(0, progress) +
                               writer.finish(0, "tool_calls", usage(), timings());
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

  void severalChoicesStandInTheirOrder() {
    std::vector<ChatReply> choices(3);
    choices[0].content = "a";
    choices[1].content = "b";
    choices[1].finishReason = "length";
    choices[2].content = "c";
    const Json json = Json::parse(completionJson(head(), choices, usage(), timings()));
    QCOMPARE(json["choices"].size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      QCOMPARE(json["choices"][i]["index"].get<std::size_t>(), i);
      QCOMPARE(json["choices"][i]["message"]["content"].get<std::string>(), choices[i].content);
    }
    QCOMPARE(json["choices"][1]["finish_reason"].get<std::string>(), std::string("length"));
  }

  void ratesOfSeveralChoicesCountTheIntervalsOfEach() {
    ReplyUsage three = usage();
    three.choices = 3;  // 21 tokens are three times six intervals
    const Json json =
        Json::parse(completionJson(head(), std::vector<ChatReply>(3), three, timings()));
    QCOMPARE(json["timings"]["predicted_per_second"].get<double>(), 36.0);  // 18 in 0.5 s
  }

  void logprobsHaveTheShapeOfOpenAi() {
    ChatReply reply;
    reply.withLogprobs = true;
    const double never = -std::numeric_limits<double>::infinity();
    reply.contentLogprobs = {{{"\xC3", -0.5}, {{"\xC3", -0.5}, {"x", never}}}, {{"\xA9", -1}, {}}};
    const Json logprobs = wholeAnswer(reply)["choices"][0]["logprobs"];
    QCOMPARE(logprobs.dump(),
             std::string("{\"content\":["
                         "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[195],"
                         "\"top_logprobs\":["
                         "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[195]},"
                         "{\"token\":\"x\",\"logprob\":-9999.0,\"bytes\":[120]}]},"
                         "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-1.0,\"bytes\":[169],"
                         "\"top_logprobs\":[]}],"
                         "\"refusal\":null}"));
  }

  void logprobsOfReasoningStandBesideThoseOfTheContent() {
    ChatReply reply;
    reply.withLogprobs = true;
    reply.reasoningLogprobs = {{{"r", -2}, {}}};
    const Json whole = wholeAnswer(reply)["choices"][0]["logprobs"];
    QVERIFY(whole["content"].empty());
    QCOMPARE(whole["reasoning_content"][0]["token"].get<std::string>(), std::string("r"));

    const ChunkWriter writer(head(), false, false);
    ReplyProgress progress;
    progress.events = {ReasoningText{"r", {{{"r", -2}, {}}}}, ContentText{"c", {{{"c", -1}, {}}}}};
    const std::vector<Json> chunks = chunksOf(writer.events(2, progress));
    QCOMPARE(chunks.size(), 2U);
    const Json& thought = chunks[0]["choices"][0];
    QCOMPARE(thought["index"].get<int>(), 2);
    QVERIFY(thought["logprobs"]["content"].is_null());
    QCOMPARE(thought["logprobs"]["reasoning_content"][0]["logprob"].get<double>(), -2.0);
    QCOMPARE(chunks[1]["choices"][0]["logprobs"].dump(),
             std::string(R"({"content":[{"token":"c","logprob":-1.0,"bytes":[99],)"
                         R"("top_logprobs":[]}],"refusal":null})"));
  }

  void aChoiceThatEndsBeforeOthersSaysSoInAChunk() {
    const ChunkWriter writer(head(), true, false);
    const std::vector<Json> chunks =
        chunksOf(writer.finishChoice(1, "length") + writer.finish(0, "stop", usage(), timings()));
    QCOMPARE(chunks.size(), 3U);
    QCOMPARE(chunks[0]["choices"][0]["index"].get<int>(), 1);
    QCOMPARE(chunks[0]["choices"][0]["finish_reason"].get<std::string>(), std::string("length"));
    QVERIFY(!chunks[0].contains("timings"));
    QCOMPARE(chunks[1]["choices"][0]["index"].get<int>(), 0);
    QVERIFY(chunks[2]["choices"].empty());
  }

  void withoutIncludeUsageNoChunkHasUsage() {
    const ChunkWriter writer(head(), false, false);
    const std::vector<Json> chunks =
        chunksOf(writer.role(0) + writer.finish(0, "stop", usage(), timings()));
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
