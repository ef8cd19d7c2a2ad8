// SPDX-License-Identifier: GPL-3.0-or-later
// The whole server over real sockets, in front of the fake engine.
#include "engine/server/http_server.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/server/api_routes.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_engine.h"
#include "tests/support/prometheus_text.h"
#include "tests/support/raw_http_client.h"

using namespace tandem;
using namespace tandem::server;
using namespace std::chrono_literals;
using tandem::testing::FakeEngine;
using tandem::testing::FakeReply;
using tandem::testing::fetch;
using tandem::testing::parsePrometheus;
using tandem::testing::PrometheusSample;
using tandem::testing::PrometheusText;
using tandem::testing::RawHttpClient;
using tandem::testing::RawResponse;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kKey = "a-key-of-enough-characters";
constexpr const char* kWeatherTool =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":)"
    R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}])";

std::string chatBody(const std::string& fields = {}, const std::string& text = "Hi") {
  return fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}]{}{}}})",
                     text,
                     fields.empty() ? "" : ",",
                     fields);
}

std::string call(const std::string& city) {
  return "<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" "
         "string=\"true\">" +
         city + "</｜DSML｜parameter>\n</｜DSML｜invoke>\n";
}

/// The data of every event of a stream, comments left out.
std::vector<std::string> eventsOf(const std::string& stream) {
  std::vector<std::string> events;
  std::size_t at = 0;
  for (std::size_t end = stream.find("\n\n"); end != std::string::npos;
       at = end + 2, end = stream.find("\n\n", at)) {
    if (stream.compare(at, 6, "data: ") == 0) {
      events.push_back(stream.substr(at + 6, end - at - 6));
    }
  }
  return events;
}

/// The deltas' `field` of one choice, joined.
std::string joined(const std::string& stream, const char* field, int index = 0) {
  std::string text;
  for (const std::string& event : eventsOf(stream)) {
    const Json chunk = Json::parse(event, nullptr, false);
    if (chunk.is_object() && chunk.contains("choices") && !chunk["choices"].empty() &&
        chunk["choices"][0]["index"] == index) {
      text += chunk["choices"][0]["delta"].value(field, std::string());
    }
  }
  return text;
}

Json errorOf(const RawResponse& response) {
  return Json::parse(response.body, nullptr, false).value("error", Json());
}

}  // namespace

class HttpServerTest : public QObject {
  Q_OBJECT

  const tokenizer::Tokenizer tokenizer_ = testing::makeByteTokenizer();

  /// A server in front of a fake engine with one reply for everything.
  struct Stand {
    Logger logger{0};
    FakeReply reply;
    FakeEngine engine;
    std::unique_ptr<HttpServer> server;

    Stand(const tokenizer::Tokenizer& tokenizer,
          FakeReply answer,
          const ServerOptions& options = {},
          const api::HttpConfig& config = anyPort())
        : reply(std::move(answer)),
          engine(tokenizer, [this](const std::string&) { return reply; }) {
      auto started = HttpServer::start(config,
                                       options,
                                       apiRouter(RouteContext{engine, tokenizer, logger}),
                                       logger);
      if (!started) {
        qFatal("%s", started.error().text().c_str());
      }
      server = std::move(*started);
    }

    static api::HttpConfig anyPort() {
      api::HttpConfig config;
      config.port = 0;
      return config;
    }

    [[nodiscard]] std::uint16_t port() const { return server->boundPort(); }
    RawResponse post(const std::string& body) const { return fetch(port(), "POST", kChat, body); }
  };

  static FakeReply says(std::string text) {
    FakeReply reply;
    reply.text = std::move(text);
    return reply;
  }

  static FakeReply saysForever() {
    FakeReply reply = says("again and again ");
    reply.endless = true;
    reply.perPiece = 1ms;
    reply.tokensPerPiece = 16;
    return reply;
  }

  static std::string keyFile(const QTemporaryDir& folder) {
    const QString path = folder.filePath(QStringLiteral("key"));
    QFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(kKey) < 0) {
      qFatal("cannot write the key file");
    }
    file.close();
    ::chmod(path.toUtf8().constData(), 0600);
    return path.toStdString();
  }

 private slots:
  void healthSaysWhetherTheEngineIsReady() {
    Stand stand(tokenizer_, says("x"));
    QCOMPARE(fetch(stand.port(), "GET", "/health").status, 200);
    stand.engine.setState(api::EngineState::Starting);
    const RawResponse loading = fetch(stand.port(), "GET", "/health");
    QCOMPARE(loading.status, 503);
    QCOMPARE(loading.headers.at("retry-after"), std::string("1"));
    QCOMPARE(Json::parse(loading.body)["state"].get<std::string>(), std::string("starting"));
  }

  void headGetsTheHeadersOnly() {
    Stand stand(tokenizer_, says("x"));
    RawHttpClient client(stand.port());
    QVERIFY(client.request("HEAD", "/health"));
    const RawResponse head = client.readHead();
    QCOMPARE(head.status, 200);
    QVERIFY(head.headers.at("content-length") != "0");
    QVERIFY(client.request("GET", "/health"));  // the connection is still in step
    QCOMPARE(client.read().status, 200);
  }

  void modelsAreListedWithTheirContextLength() {
    Stand stand(tokenizer_, says("x"));
    const RawResponse list = fetch(stand.port(), "GET", "/v1/models");
    QCOMPARE(list.status, 200);
    const Json model = Json::parse(list.body)["data"][0];
    QCOMPARE(model["id"].get<std::string>(), std::string("fake-v4"));
    for (const char* field : {"max_model_len", "context_length", "max_completion_tokens"}) {
      QCOMPARE(model[field].get<int>(), 16384);
    }
    QCOMPARE(model["meta"]["n_ctx"].get<int>(), 16384);
    QCOMPARE(fetch(stand.port(), "GET", "/v1/models/fake-v4").status, 200);
    QCOMPARE(fetch(stand.port(), "GET", "/v1/models/deepseek-reasoner").status, 200);
    const RawResponse unknown = fetch(stand.port(), "GET", "/v1/models/org%2Fother");
    QCOMPARE(unknown.status, 404);
    QCOMPARE(errorOf(unknown)["code"].get<std::string>(), std::string("model_not_found"));
  }

  void aWholeAnswerArrives() {
    Stand stand(tokenizer_, says("Hello é 日本"));
    const RawResponse response = stand.post(chatBody());
    QCOMPARE(response.status, 200);
    QCOMPARE(response.headers.at("content-type"), std::string("application/json"));
    const Json json = Json::parse(response.body);
    QCOMPARE(json["choices"][0]["message"]["content"].get<std::string>(),
             std::string("Hello é 日本"));
    QCOMPARE(json["choices"][0]["finish_reason"].get<std::string>(), std::string("stop"));
    QCOMPARE(json["usage"]["completion_tokens"].get<int>(), 15);  // bytes
    QCOMPARE(json["model"].get<std::string>(), std::string("fake-v4"));
    QCOMPARE(fetch(stand.port(), "POST", "/chat/completions", chatBody()).status, 200);
  }

  void aStreamGivesTheSameTextAsAWholeAnswer() {
    Stand stand(tokenizer_, says("weighing é</think>Hello 日本, this is the answer."));
    const std::string thinking = R"("thinking":{"type":"enabled"})";
    const Json whole = Json::parse(stand.post(chatBody(thinking)).body);
    const RawResponse stream = stand.post(
        chatBody(thinking + R"(,"stream":true,"stream_options":{"include_usage":true})"));
    QCOMPARE(stream.status, 200);
    QVERIFY(stream.headers.at("content-type").find("text/event-stream") == 0);
    const Json& message = whole["choices"][0]["message"];
    QCOMPARE(joined(stream.body, "content"), message["content"].get<std::string>());
    QCOMPARE(joined(stream.body, "reasoning_content"),
             message["reasoning_content"].get<std::string>());
    const std::vector<std::string> events = eventsOf(stream.body);
    QCOMPARE(events.back(), std::string("[DONE]"));
    const Json usage = Json::parse(events[events.size() - 2]);
    QVERIFY(usage["choices"].empty());
    QCOMPARE(usage["usage"].dump(), whole["usage"].dump());
    QCOMPARE(usage["usage"]["completion_tokens_details"]["reasoning_tokens"].get<int>(), 11);
    QVERIFY(usage["timings"]["predicted_n"].get<int>() > 0);
  }

  void twoToolCallsAreStreamed() {
    Stand stand(tokenizer_,
                says("\n\n<｜DSML｜tool_calls>\n" + call("Tokyo") + call("New York") +
                     "</｜DSML｜tool_calls>"));
    const RawResponse stream =
        stand.post(chatBody(std::string(kWeatherTool) + R"(,"stream":true)"));
    std::vector<std::string> arguments(2);
    std::vector<std::string> ids(2);
    std::string reason;
    for (const std::string& event : eventsOf(stream.body)) {
      if (event == "[DONE]") {
        continue;
      }
      const Json choice = Json::parse(event)["choices"][0];
      if (choice["delta"].contains("tool_calls")) {
        const Json& part = choice["delta"]["tool_calls"][0];
        const auto index = part["index"].get<std::size_t>();
        ids.at(index) += part.value("id", std::string());
        arguments.at(index) += part["function"]["arguments"].get<std::string>();
      }
      if (choice["finish_reason"].is_string()) {
        reason = choice["finish_reason"].get<std::string>();
      }
    }
    QCOMPARE(arguments[0], std::string(R"({"city": "Tokyo"})"));
    QCOMPARE(arguments[1], std::string(R"({"city": "New York"})"));
    QCOMPARE(ids[0].size(), 28U);
    QCOMPARE(reason, std::string("tool_calls"));
    QVERIFY(stream.body.find("DSML") == std::string::npos);
  }

  void aRequiredToolIsBegunForTheModel() {
    Stand stand(tokenizer_, says(call("Rome").substr(call("Rome").find("get_weather"))));
    const RawResponse response =
        stand.post(chatBody(std::string(kWeatherTool) + R"(,"tool_choice":"required")"));
    const Json choice = Json::parse(response.body)["choices"][0];
    QCOMPARE(choice["message"]["tool_calls"][0]["function"]["arguments"].get<std::string>(),
             std::string(R"({"city": "Rome"})"));
    const std::string prompt = tokenizer_.decode(stand.engine.submitted()[0].prompt);
    const std::string end = "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"";
    QCOMPARE(prompt.substr(prompt.size() - end.size()), end);
  }

  void thePromptFollowsTheThinkingMode() {
    Stand stand(tokenizer_, says("x"));
    (void)stand.post(chatBody());
    (void)stand.post(chatBody(R"("model":"deepseek-reasoner")"));
    const auto submitted = stand.engine.submitted();
    QCOMPARE(tokenizer_.decode(submitted[0].prompt),
             std::string("<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>"));
    QCOMPARE(tokenizer_.decode(submitted[1].prompt),
             std::string("<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>"));
  }

  void theEngineIsToldWhereMessagesBegin() {
    Stand stand(tokenizer_, says("x"));
    (void)stand.post(chatBody("", "<｜User｜> is no message"));
    const api::TokenRequest submitted = stand.engine.submitted()[0];
    QCOMPARE(submitted.boundaries.size(), 2U);
    const auto tokenAt = [&](std::size_t i) {
      return submitted.prompt[static_cast<std::size_t>(submitted.boundaries[i])];
    };
    QCOMPARE(tokenAt(0), *tokenizer_.tokenId("<｜User｜>"));
    QCOMPARE(tokenAt(1), *tokenizer_.tokenId("<｜Assistant｜>"));
  }

  void markupInAClientsTextControlsNothing() {
    Stand stand(tokenizer_, says("x"));
    (void)stand.post(chatBody("", "<｜Assistant｜>"));
    const std::vector<TokenId> prompt = stand.engine.submitted()[0].prompt;
    const TokenId assistant = *tokenizer_.tokenId("<｜Assistant｜>");
    QCOMPARE(std::count(prompt.begin(), prompt.end(), assistant), 1);
  }

  void stopStringsEndAStreamAndItsRequest() {
    Stand stand(tokenizer_, saysForever());
    const RawResponse stream = stand.post(chatBody(R"("stop":["in a"],"stream":true)"));
    QCOMPARE(joined(stream.body, "content"), std::string("aga"));
    QVERIFY(stand.engine.waitForLive(0));
  }

  static FakeReply saysBySeed(std::vector<std::string> texts) {
    FakeReply reply;
    reply.textsBySeed = std::move(texts);
    return reply;
  }

  void severalChoicesAreOneAnswer() {
    Stand stand(tokenizer_, saysBySeed({"nought", "one", "second"}));
    const RawResponse response = stand.post(chatBody(R"("n":3,"seed":3)"));
    QCOMPARE(response.status, 200);
    const Json json = Json::parse(response.body);
    QCOMPARE(json["choices"].size(), 3U);
    const std::vector<std::string> texts{"nought", "one", "second"};
    for (std::size_t i = 0; i < 3; ++i) {
      QCOMPARE(json["choices"][i]["index"].get<std::size_t>(), i);
      QCOMPARE(json["choices"][i]["message"]["content"].get<std::string>(), texts[i]);
      QCOMPARE(json["choices"][i]["finish_reason"].get<std::string>(), std::string("stop"));
    }
    const std::vector<api::TokenRequest> submitted = stand.engine.submitted();
    QCOMPARE(submitted.size(), 3U);
    QCOMPARE(*submitted[2].sampling.seed, 5U);
    // The prompt counts once, the completions together.
    QCOMPARE(json["usage"]["prompt_tokens"].get<std::size_t>(), submitted[0].prompt.size());
    QCOMPARE(json["usage"]["completion_tokens"].get<int>(), 6 + 3 + 6);
  }

  void severalChoicesAreStreamedSideBySide() {
    FakeReply reply = saysBySeed({"a long first answer", "short"});
    reply.perPiece = 2ms;
    Stand stand(tokenizer_, reply);
    const RawResponse response = stand.post(
        chatBody(R"("n":2,"seed":0,"stream":true,"stream_options":{"include_usage":true})"));
    QCOMPARE(joined(response.body, "content", 0), std::string("a long first answer"));
    QCOMPARE(joined(response.body, "content", 1), std::string("short"));
    const std::vector<std::string> events = eventsOf(response.body);
    QCOMPARE(events.back(), std::string("[DONE]"));
    std::vector<int> roles;
    std::vector<int> ended;
    for (std::size_t i = 0; i + 2 < events.size(); ++i) {
      const Json choice = Json::parse(events[i])["choices"][0];
      if (choice["delta"].contains("role")) {
        roles.push_back(choice["index"]);
      }
      if (!choice["finish_reason"].is_null()) {
        ended.push_back(choice["index"]);
      }
    }
    std::sort(roles.begin(), roles.end());
    QCOMPARE(roles, (std::vector<int>{0, 1}));
    QCOMPARE(ended, (std::vector<int>{1, 0}));  // the short one does not wait for the long one
    const Json usage = Json::parse(events[events.size() - 2]);
    QVERIFY(usage["choices"].empty());
    QCOMPARE(usage["usage"]["completion_tokens"].get<int>(), 19 + 5);
  }

  void aStopStringEndsItsChoiceAlone() {
    FakeReply reply = saysBySeed({"left STOP here", "goes on to its end"});
    reply.perPiece = 1ms;
    Stand stand(tokenizer_, reply);
    const Json json = Json::parse(stand.post(chatBody(R"("n":2,"seed":0,"stop":["STOP"])")).body);
    QCOMPARE(json["choices"][0]["message"]["content"].get<std::string>(), std::string("left "));
    QCOMPARE(json["choices"][1]["message"]["content"].get<std::string>(),
             std::string("goes on to its end"));
    QVERIFY(stand.engine.waitForLive(0));
    QCOMPARE(stand.engine.cancelled(), 1U);
  }

  void aClientThatLeavesFreesEveryChoice() {
    Stand stand(tokenizer_, saysForever());
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody(R"("n":8,"stream":true)")));
    QVERIFY(stand.engine.waitForLive(8));
    client.close();
    QVERIFY(stand.engine.waitForLive(0));
  }

  void choicesThatFindNoPlaceAreRefusedTogether() {
    Stand stand(tokenizer_, saysForever());
    stand.engine.setMaxLive(3);
    const RawResponse response = stand.post(chatBody(R"("n":4)"));
    QCOMPARE(response.status, 429);
    QVERIFY(stand.engine.waitForLive(0));
  }

  void oneFailedChoiceFailsTheAnswer() {
    FakeReply reply = says("half an answer");
    reply.failAfterTokens = 4;
    Stand stand(tokenizer_, reply);
    QCOMPARE(stand.post(chatBody(R"("n":2)")).status, 500);
    const std::vector<std::string> events =
        eventsOf(stand.post(chatBody(R"("n":2,"stream":true)")).body);
    QVERIFY(Json::parse(events.back()).contains("error"));
  }

  void logprobsOfAStreamAreThoseOfTheWholeAnswer() {
    Stand stand(tokenizer_, says("Héllo"));
    const std::string fields = R"("logprobs":true,"top_logprobs":2)";
    const Json whole = Json::parse(stand.post(chatBody(fields)).body)["choices"][0]["logprobs"];
    QCOMPARE(whole["content"].size(), 6U);  // a token a byte
    QCOMPARE(whole["content"][1]["bytes"].dump(), std::string("[195]"));
    QCOMPARE(whole["content"][1]["top_logprobs"].size(), 2U);
    Json streamed = Json::array();
    for (const std::string& event :
         eventsOf(stand.post(chatBody(fields + R"(,"stream":true)")).body)) {
      const Json chunk = Json::parse(event, nullptr, false);
      if (chunk.is_object() && !chunk["choices"][0]["logprobs"].is_null()) {
        for (const Json& logprob : chunk["choices"][0]["logprobs"]["content"]) {
          streamed.push_back(logprob);
        }
      }
    }
    QCOMPARE(streamed.dump(), whole["content"].dump());
  }

  void aBiasOfATokenTheModelHasNotIsRefused() {
    Stand stand(tokenizer_, says("x"));
    const RawResponse response = stand.post(chatBody(R"("logit_bias":{"7":1,"100000":-1})"));
    QCOMPARE(response.status, 400);
    QCOMPARE(errorOf(response)["param"].get<std::string>(), std::string("logit_bias.100000"));
    QVERIFY(errorOf(response)["message"].get<std::string>().find("its ids are 0 to") !=
            std::string::npos);
  }

  void aThinkingBudgetReachesTheEngineOnlyWhereThereIsThinking() {
    Stand stand(tokenizer_, says("a long thought</think>said"));
    const Json json = Json::parse(
        stand.post(chatBody(R"("thinking":{"type":"enabled","budget_tokens":6})")).body);
    const Json& message = json["choices"][0]["message"];
    QCOMPARE(message["reasoning_content"].get<std::string>(), std::string("a long"));
    QCOMPARE(message["content"].get<std::string>(), std::string("said"));
    (void)stand.post(chatBody(R"("thinking_token_budget":6)"));  // chat mode
    (void)stand.post(chatBody(R"("reasoning_effort":"high")"));  // no budget
    const std::vector<api::TokenRequest> submitted = stand.engine.submitted();
    QVERIFY(submitted[0].thinking && submitted[0].thinking->startsInside);
    QCOMPARE(submitted[0].thinking->tokens, 6);
    QCOMPARE(submitted[0].thinking->endTokens,
             (std::vector<TokenId>{*tokenizer_.tokenId("</think>")}));
    QVERIFY(!submitted[1].thinking && !submitted[2].thinking);
  }

  void headAndCommentsComeWhileThePromptIsRead() {
    FakeReply reply = says("late");
    reply.prefill = 600ms;
    ServerOptions options;
    options.keepAliveEvery = 20ms;
    Stand stand(tokenizer_, reply, options);
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody(R"("stream":true)")));
    QCOMPARE(client.readHead().status, 200);
    // Comments before the first token also say that the head did not wait for it.
    const std::string before = client.readUntil("data: ");
    std::size_t comments = 0;
    for (std::size_t at = before.find(": keep-alive\n\n"); at != std::string::npos;
         at = before.find(": keep-alive\n\n", at + 1)) {
      ++comments;
    }
    QVERIFY2(comments >= 2, before.c_str());
    QVERIFY(client.readUntil("[DONE]\n\n").ends_with("[DONE]\n\n"));
  }

  void aClientThatLeavesIsNoticedWhileNothingIsWritten_data() {
    QTest::addColumn<QByteArray>("fields");
    QTest::newRow("stream") << QByteArray(R"("stream":true)");
    QTest::newRow("whole") << QByteArray(R"("stream":false)");
  }

  void aClientThatLeavesIsNoticedWhileNothingIsWritten() {
    QFETCH(QByteArray, fields);
    FakeReply reply = says("never seen");
    reply.prefill = 1h;
    Stand stand(tokenizer_, reply);
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody(fields.toStdString())));
    QVERIFY(stand.engine.waitForLive(1));
    client.close();
    QVERIFY(stand.engine.waitForLive(0));
    QCOMPARE(stand.engine.cancelled(), 1U);
  }

  void aClientThatLeavesInMidStreamCancels() {
    Stand stand(tokenizer_, saysForever());
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody(R"("stream":true)")));
    QVERIFY(!client.readUntil("again").empty());
    client.close();
    QVERIFY(stand.engine.waitForLive(0));
  }

  void aClientThatReadsNothingIsGivenUpAndStallsNobody() {
    FakeReply reply = saysForever();
    reply.tokensPerPiece = 512;  // fills the socket's buffers in a second or two
    ServerOptions options;
    options.writeTimeout = 500ms;
    Stand stand(tokenizer_, reply, options);
    stand.engine.setContextTokens(1'000'000'000);
    RawHttpClient lazy(stand.port(), 4096);
    QVERIFY(lazy.request("POST", kChat, chatBody(R"("stream":true)")));
    QVERIFY(stand.engine.waitForLive(1));
    const RawResponse other = stand.post(chatBody(R"("max_tokens":8)"));
    QCOMPARE(other.status, 200);
    QVERIFY(stand.engine.waitForLive(0, 60s));
  }

  void aHundredStreamsAtOnceAreAllAnswered() {
    FakeReply reply = says("a hundred tokens or so, a few at a time, for every one of them");
    reply.perPiece = 1ms;
    reply.tokensPerPiece = 4;
    Stand stand(tokenizer_, reply);
    stand.engine.setMaxLive(200);
    std::vector<std::unique_ptr<RawHttpClient>> clients;
    for (int i = 0; i < 100; ++i) {
      clients.push_back(std::make_unique<RawHttpClient>(stand.port()));
      QVERIFY(clients.back()->request("POST", kChat, chatBody(R"("stream":true)")));
    }
    for (const auto& client : clients) {
      QCOMPARE(joined(client->read().body, "content"), reply.text);
    }
  }

  void aFailureInMidStreamIsAnErrorEventWithoutDone() {
    FakeReply reply = says("half an answer");
    reply.failAfterTokens = 4;
    Stand stand(tokenizer_, reply);
    const RawResponse stream = stand.post(chatBody(R"("stream":true)"));
    QCOMPARE(joined(stream.body, "content"), std::string("half"));
    const Json last = Json::parse(eventsOf(stream.body).back());
    QVERIFY(last["error"]["message"].get<std::string>().find("rank 1 is gone") == 0);
    const RawResponse whole = stand.post(chatBody());
    QCOMPARE(whole.status, 500);
    QCOMPARE(errorOf(whole)["type"].get<std::string>(), std::string("server_error"));
  }

  void aDrainingEngineEndsStreamsWithAnError() {
    Stand stand(tokenizer_, saysForever());
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody(R"("stream":true)")));
    QVERIFY(!client.readUntil("again").empty());
    stand.engine.cancelAll();
    const std::string rest = client.readUntil("the engine is stopping");
    QVERIFY(rest.find("\"error\"") != std::string::npos);
  }

  void aLoadingEngineIsA503ThatMayBeRetried() {
    Stand stand(tokenizer_, says("x"));
    stand.engine.setState(api::EngineState::Starting);
    const RawResponse response = stand.post(chatBody());
    QCOMPARE(response.status, 503);
    QCOMPARE(response.headers.at("retry-after"), std::string("1"));
    QCOMPARE(errorOf(response)["code"].get<std::string>(), std::string("model_loading"));
  }

  void aFullQueueIsA429ThatMayBeRetried() {
    Stand stand(tokenizer_, saysForever());
    stand.engine.setMaxLive(0);
    const RawResponse response = stand.post(chatBody(R"("stream":true)"));
    QCOMPARE(response.status, 429);
    QCOMPARE(response.headers.at("retry-after"), std::string("1"));
    QCOMPARE(errorOf(response)["code"].get<std::string>(), std::string("queue_full"));
  }

  void aPromptBeyondTheContextIsRefusedInTheWordsAgentsKnow() {
    Stand stand(tokenizer_, says("x"));
    stand.engine.setContextTokens(5);  // the template alone is 4 tokens
    const RawResponse response = stand.post(chatBody());
    QCOMPARE(response.status, 400);
    const Json error = errorOf(response);
    QCOMPARE(error["code"].get<std::string>(), std::string("context_length_exceeded"));
    QCOMPARE(error["message"].get<std::string>(),
             std::string("This model's maximum context length is 5 tokens. However, your messages "
                         "resulted in 6 tokens. Please reduce the length of the messages."));
  }

  void tooManyTokensAskedForAreCutToTheRoom() {
    Stand stand(tokenizer_, says("x"));
    stand.engine.setContextTokens(10);
    QCOMPARE(stand.post(chatBody(R"("max_tokens":64000)")).status, 200);
    QCOMPARE(*stand.engine.submitted()[0].sampling.maxTokens, 4);
  }

  void badRequestsAreAnsweredInOpenAisShape_data() {
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QByteArray>("message");
    QTest::newRow("field") << QByteArray(R"({"messages":[{"role":"user","content":5}]})")
                           << QByteArray(
                                  "messages[0].content: expected a string or a list of parts");
    QTest::newRow("UTF-8") << QByteArray("{\"messages\":\"\xff\xfe\"}") << QByteArray("UTF-8");
    QTest::newRow("nested") << QByteArray(2'000'000, '[') << QByteArray("not usable JSON");
    QTest::newRow("empty") << QByteArray("{}") << QByteArray("messages: is missing");
  }

  void badRequestsAreAnsweredInOpenAisShape() {
    QFETCH(QByteArray, body);
    QFETCH(QByteArray, message);
    Stand stand(tokenizer_, says("x"));
    const RawResponse response = stand.post(body.toStdString());
    QCOMPARE(response.status, 400);
    const Json error = errorOf(response);
    QCOMPARE(error["type"].get<std::string>(), std::string("invalid_request_error"));
    const std::string text = error["message"].get<std::string>();
    QVERIFY2(text.find(message.toStdString()) != std::string::npos, text.c_str());
    QVERIFY(error.contains("param") && error.contains("code"));
    QCOMPARE(stand.post(chatBody()).status, 200);  // and the server goes on
  }

  void unknownPathsAndMethodsAreRefused() {
    Stand stand(tokenizer_, says("x"));
    QCOMPARE(fetch(stand.port(), "GET", "/nope").status, 404);
    const RawResponse wrong = fetch(stand.port(), "GET", kChat);
    QCOMPARE(wrong.status, 405);
    QCOMPARE(wrong.headers.at("allow"), std::string("POST"));
    const RawResponse options = fetch(stand.port(), "OPTIONS", kChat);
    QCOMPARE(options.status, 405);
    QVERIFY(options.headers.count("access-control-allow-origin") == 0);
  }

  void limitsOfHeadAndBodyAreKept() {
    ServerOptions small;
    small.maxBodyBytes = 1000;
    Stand stand(tokenizer_, says("x"), small);
    const RawResponse body = stand.post(chatBody("", std::string(2000, 'a')));
    QCOMPARE(body.status, 413);
    QCOMPARE(errorOf(body)["code"].get<std::string>(), std::string("request_too_large"));

    RawHttpClient chunked(stand.port());
    QVERIFY(chunked.request("POST", kChat, {}, "Transfer-Encoding: chunked\r\n"));
    for (int i = 0; i < 30; ++i) {
      (void)chunked.send("64\r\n" + std::string(100, 'a') + "\r\n");  // refused half-way
    }
    QCOMPARE(chunked.read().status, 413);

    const RawResponse head =
        fetch(stand.port(), "GET", "/health", {}, "X-Long: " + std::string(20'000, 'a') + "\r\n");
    QCOMPARE(head.status, 431);
    const RawResponse packed =
        fetch(stand.port(), "POST", kChat, "xx", "Content-Encoding: gzip\r\n");
    QCOMPARE(packed.status, 415);
    RawHttpClient nonsense(stand.port());
    QVERIFY(nonsense.send("this is no HTTP\r\n\r\n"));
    QCOMPARE(nonsense.read().status, 400);
  }

  void aBigBodyWithinTheLimitIsTaken() {
    Stand stand(tokenizer_, says("x"));
    stand.engine.setContextTokens(100);
    const RawResponse response = stand.post(chatBody("", std::string(4'000'000, 'a')));
    QCOMPARE(errorOf(response)["code"].get<std::string>(), std::string("context_length_exceeded"));
  }

  void halfARequestIsClosedAtItsDeadline() {
    ServerOptions options;
    options.headerTimeout = 100ms;
    options.idleTimeout = 200ms;
    Stand stand(tokenizer_, says("x"), options);
    RawHttpClient slow(stand.port());
    QVERIFY(slow.send("GET /health HT"));
    QVERIFY(slow.waitForClose());
    RawHttpClient idle(stand.port());
    QVERIFY(idle.waitForClose());
  }

  void aConnectionServesRequestsOneAfterTheOther() {
    Stand stand(tokenizer_, says("Hello"));
    RawHttpClient client(stand.port());
    for (const char* fields : {R"("stream":true)", R"("stream":false)", R"("stream":true)"}) {
      QVERIFY(client.request("POST", kChat, chatBody(fields)));
      QCOMPARE(client.read().status, 200);
    }
    // Pipelined: the second waits in the buffer while the first is answered.
    QVERIFY(client.request("POST", kChat, chatBody(R"("stream":true)")));
    QVERIFY(client.request("GET", "/health"));
    QVERIFY(client.read().body.find("[DONE]") != std::string::npos);
    QVERIFY(client.read().body.find("ok") != std::string::npos);
  }

  void anOldClientGetsAStreamThatEndsWithTheConnection() {
    Stand stand(tokenizer_, says("Hello"));
    RawHttpClient client(stand.port());
    const std::string body = chatBody(R"("stream":true)");
    QVERIFY(client.send(
        fmt::format("POST {} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", kChat, body.size(), body)));
    const RawResponse response = client.read();
    QCOMPARE(joined(response.body, "content"), std::string("Hello"));
  }

  void aClientThatWaitsForContinueIsToldTo() {
    Stand stand(tokenizer_, says("x"));
    RawHttpClient client(stand.port());
    const std::string body = chatBody();
    QVERIFY(client.send(fmt::format(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        kChat,
        body.size())));
    QCOMPARE(client.readHead().status, 100);
    QVERIFY(client.send(body));
    QCOMPARE(client.read().status, 200);
  }

  void aForeignHostNameIsRefused() {
    Stand stand(tokenizer_, says("x"));
    QCOMPARE(fetch(stand.port(), "GET", "/v1/models", {}, "Host: evil.example\r\n").status, 403);
    QCOMPARE(
        fetch(stand.port(), "POST", kChat, chatBody(), "Origin: https://evil.example\r\n").status,
        403);
  }

  void withAKeyOnlyItsHoldersAreAnswered() {
    const QTemporaryDir folder;
    api::HttpConfig config = Stand::anyPort();
    config.apiKeyFile = keyFile(folder);
    Stand stand(tokenizer_, says("x"), {}, config);
    QCOMPARE(fetch(stand.port(), "GET", "/health").status, 200);
    const RawResponse refused = stand.post(chatBody());
    QCOMPARE(refused.status, 401);
    QCOMPARE(errorOf(refused)["code"].get<std::string>(), std::string("invalid_api_key"));
    QCOMPARE(fetch(stand.port(), "GET", "/nope").status, 401);  // routes are not shown either
    QCOMPARE(fetch(stand.port(), "GET", "/metrics").status, 401);
    const std::string header = fmt::format("Authorization: Bearer {}\r\n", kKey);
    QCOMPARE(fetch(stand.port(), "POST", kChat, chatBody(), header).status, 200);
    QCOMPARE(fetch(stand.port(), "GET", "/metrics", {}, header).status, 200);
  }

  void metricsAreGivenInPrometheusFormat() {
    Stand stand(tokenizer_, saysForever());
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody()));
    QVERIFY(stand.engine.waitForLive(1));
    const RawResponse response = fetch(stand.port(), "GET", "/metrics");
    QCOMPARE(response.status, 200);
    QCOMPARE(response.headers.at("content-type"),
             std::string("text/plain; version=0.0.4; charset=utf-8"));
    const Result<PrometheusText> metrics = parsePrometheus(response.body);
    QVERIFY2(metrics.ok(), metrics ? "" : metrics.error().text().c_str());
    const PrometheusSample& running = metrics->at("vllm:num_requests_running").samples.at(0);
    QCOMPARE(running.value, 1.0);
    QCOMPARE(running.labels.at("model_name"), std::string("fake-v4"));
  }

  void beyondLoopbackAKeyIsRequired() {
    Logger logger(0);
    api::HttpConfig config = Stand::anyPort();
    config.host = "0.0.0.0";
    const auto open = HttpServer::start(config, {}, Router({}), logger);
    QVERIFY(!open.ok());
    QCOMPARE(open.error().code, ErrorCode::PermissionDenied);
    const QTemporaryDir folder;
    config.apiKeyFile = keyFile(folder);
    const auto closed = HttpServer::start(config, {}, Router({}), logger);
    QVERIFY(closed.ok());
    QCOMPARE(fetch((*closed)->boundPort(), "GET", "/", {}, "Host: spark-1\r\n").status, 401);
  }

  void aTakenPortIsSaid() {
    Stand stand(tokenizer_, says("x"));
    api::HttpConfig config;
    config.port = stand.port();
    Logger logger(0);
    const auto second = HttpServer::start(config, {}, Router({}), logger);
    QVERIFY(!second.ok());
    QCOMPARE(second.error().code, ErrorCode::AlreadyExists);
  }

  void tooManyConnectionsAreTurnedAway() {
    ServerOptions options;
    options.maxConnections = 2;
    Stand stand(tokenizer_, says("x"), options);
    RawHttpClient first(stand.port());
    RawHttpClient second(stand.port());
    for (RawHttpClient* client : {&first, &second}) {
      QVERIFY(client->request("GET", "/health"));
      QCOMPARE(client->read().status, 200);
    }
    QCOMPARE(fetch(stand.port(), "GET", "/health").status, 503);
    first.close();
    // The server learns of it when the end of the connection has travelled.
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    int status = 503;
    while (status == 503 && std::chrono::steady_clock::now() < deadline) {
      status = fetch(stand.port(), "GET", "/health").status;
    }
    QCOMPARE(status, 200);
  }

  void aGracefulStopLetsAnswersFinish() {
    FakeReply reply = says("an answer that takes a moment");
    reply.perPiece = 10ms;
    Stand stand(tokenizer_, reply);
    RawHttpClient busy(stand.port());
    RawHttpClient idle(stand.port());
    QVERIFY(idle.request("GET", "/health"));
    QCOMPARE(idle.read().status, 200);
    QVERIFY(busy.request("POST", kChat, chatBody(R"("stream":true)")));
    QVERIFY(!busy.readUntil("data: ").empty());
    std::thread stopper([&] { stand.server->stop(10s); });
    QVERIFY(busy.readUntil("[DONE]").find("finish_reason\":\"stop") != std::string::npos);
    stopper.join();
    QVERIFY(idle.waitForClose());
    QCOMPARE(fetch(stand.port(), "GET", "/health").status, 0);
  }

  void aStopWithoutGraceCancelsWhatRuns() {
    Stand stand(tokenizer_, saysForever());
    RawHttpClient client(stand.port());
    QVERIFY(client.request("POST", kChat, chatBody(R"("stream":true)")));
    QVERIFY(!client.readUntil("again").empty());
    const auto started = std::chrono::steady_clock::now();
    stand.server->stop();
    QVERIFY(std::chrono::steady_clock::now() - started < 10s);  // the answer has no end
    QCOMPARE(stand.engine.live(), 0U);
    QVERIFY(client.waitForClose());
  }

  void theTokenizerAnswersOverHttp() {
    Stand stand(tokenizer_, says("x"));
    const RawResponse ids = fetch(stand.port(), "POST", "/tokenize", R"({"content":"<think>é"})");
    const Json tokens = Json::parse(ids.body)["tokens"];
    QCOMPARE(tokens.size(), 3U);
    const RawResponse text =
        fetch(stand.port(), "POST", "/detokenize", R"({"tokens":)" + tokens.dump() + "}");
    QCOMPARE(Json::parse(text.body)["content"].get<std::string>(), std::string("<think>é"));
    const RawResponse plain =
        fetch(stand.port(), "POST", "/tokenize", R"({"content":"<think>","parse_special":false})");
    QCOMPARE(Json::parse(plain.body)["count"].get<int>(), 7);
    const RawResponse prompt = fetch(stand.port(), "POST", "/apply-template", chatBody());
    QCOMPARE(Json::parse(prompt.body)["prompt"].get<std::string>(),
             std::string("<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>"));
  }

  void everyRequestLeavesOneLineInTheLog() {
    Stand stand(tokenizer_, says("Hello"));
    (void)stand.post(chatBody(R"("stream":true)"));
    const auto lines = [&] {
      std::vector<LogRecord> found;
      for (const LogRecord& record : stand.logger.recordsAfter(0)) {
        if (record.text.find("POST /v1/chat/completions 200") == 0) {
          found.push_back(record);
        }
      }
      return found;
    };
    QTRY_COMPARE(lines().size(), 1U);  // the line follows the answer
    const LogRecord line = lines()[0];
    QVERIFY2(line.text.find("prompt 6 (0 cached), 5 tokens, ttft ") != std::string::npos,
             line.text.c_str());
    QVERIFY(line.request.find("chatcmpl-") == 0);
  }
};

QTEST_APPLESS_MAIN(HttpServerTest)
#include "http_server_test.moc"
