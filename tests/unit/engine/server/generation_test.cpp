// SPDX-License-Identifier: GPL-3.0-or-later
// From the engine's tokens to the parts of an answer, on the fake engine and without sockets.
#include "engine/server/generation.h"

#include <QTest>

#include "engine/tokenizer/output_parser.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_engine.h"

using namespace tandem;
using namespace tandem::server;
using tandem::testing::FakeEngine;
using tandem::testing::FakeReply;

namespace {

constexpr const char* kTools = R"([{"type":"function","function":{"name":"get_weather",
    "parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}])";

std::string weatherCall(const std::string& city) {
  return "<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" "
         "string=\"true\">" +
         city + "</｜DSML｜parameter>\n</｜DSML｜invoke>\n";
}

std::string twoCalls() {
  return "\n\n<｜DSML｜tool_calls>\n" + weatherCall("Tokyo") + weatherCall("New York") +
         "</｜DSML｜tool_calls>";
}

/// An answer with everything that advance() gave, joined.
struct Whole {
  std::string reasoning;
  std::string content;
  std::vector<ReplyToolCall> calls;
  int callsEnded = 0;
  std::string reasoningTokens;  // the bytes of the logprobs, joined
  std::string contentTokens;
  std::vector<double> contentLogprobs;
  ReplyUsage usage;
  std::optional<ReplyFinish> finish;

  void add(const ReplyProgress& progress) {
    for (const ReplyEvent& event : progress.events) {
      std::visit([this](const auto& part) { addPart(part); }, event);
    }
    usage = progress.usage;
    finish = progress.finish;
  }

 private:
  void addPart(const ReasoningText& part) {
    reasoning += part.text;
    for (const ReplyLogprob& logprob : part.logprobs) {
      reasoningTokens += logprob.token.bytes;
    }
  }
  void addPart(const ContentText& part) {
    content += part.text;
    for (const ReplyLogprob& logprob : part.logprobs) {
      contentTokens += logprob.token.bytes;
      contentLogprobs.push_back(logprob.token.logprob);
    }
  }
  void addPart(const ToolCallBegin& part) { calls.push_back({part.id, part.name, ""}); }
  void addPart(const ToolCallArguments& part) { calls.back().arguments += part.text; }
  void addPart(const ToolCallEnd&) { ++callsEnded; }
};

}  // namespace

class GenerationTest : public QObject {
  Q_OBJECT

  const tokenizer::Tokenizer tokenizer_ = testing::makeByteTokenizer();
  Logger logger_{0};
  bool logprobs_ = false;  // are asked for

  GenerationOptions options(bool thinking = false) const {
    GenerationOptions options;
    options.id = "r1";
    options.parser.thinking = thinking;
    options.parser.tools = *tokenizer::declaredTools(kTools);
    return options;
  }

  /// Runs one generation to its end.
  Whole run(const FakeReply& reply, GenerationOptions options) {
    FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
    return run(engine, std::move(options));
  }

  Whole run(FakeEngine& engine, GenerationOptions options) {
    api::TokenRequest request;
    request.id = options.id;
    request.prompt = {0};
    request.sampling.logprobs = logprobs_;
    request.sampling.topLogprobs = logprobs_ ? 2 : 0;
    auto queue = engine.submit(request);
    Generation generation(engine, tokenizer_, logger_, *queue, std::move(options));
    Whole whole;
    while (!whole.finish) {
      whole.add(generation.advance());
    }
    return whole;
  }

 private slots:
  void init() { logprobs_ = false; }

  void textIsTheSameForEveryCut() {
    FakeReply reply;
    reply.text = "thoughts é</think>answer 日本";
    for (std::size_t pieces = 1; pieces < 40; ++pieces) {
      reply.tokensPerPiece = pieces;
      const Whole whole = run(reply, options(true));
      QCOMPARE(whole.reasoning, std::string("thoughts é"));
      QCOMPARE(whole.content, std::string("answer 日本"));
      QCOMPARE(whole.finish->reason, std::string("stop"));
    }
  }

  void whatPiledUpIsReadInTurns() {
    FakeReply reply;
    reply.text = std::string(Generation::kTokensPerTurn * 2 + 10, 'x');
    reply.tokensPerPiece = reply.text.size();
    FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
    api::TokenRequest request;
    request.id = "r1";
    request.prompt = {0};
    Generation generation(engine, tokenizer_, logger_, *engine.submit(request), options());
    Whole whole;
    int turns = 0;
    while (!whole.finish) {
      const ReplyProgress progress = generation.advance();
      turns += progress.events.empty() ? 0 : 1;
      QCOMPARE(progress.more, turns == 1 || turns == 2);
      whole.add(progress);
    }
    QCOMPARE(turns, 3);
    QCOMPARE(whole.content, reply.text);
  }

  void reasoningTokensAreCountedUpToTheEndMarker() {
    FakeReply reply;
    reply.text = "abcde</think>xyz";
    const Whole whole = run(reply, options(true));
    QCOMPARE(whole.usage.reasoningTokens, 5);
    QCOMPARE(whole.usage.tokens.completionTokens, 9);
    QCOMPARE(run(reply, options(false)).usage.reasoningTokens, 0);
  }

  void twoCallsBecomeTwoToolCalls() {
    FakeReply reply;
    reply.text = "Let me look." + twoCalls();
    for (const std::size_t pieces : {1U, 3U, 1000U}) {
      reply.tokensPerPiece = pieces;
      const Whole whole = run(reply, options());
      QCOMPARE(whole.content, std::string("Let me look."));
      QCOMPARE(whole.calls.size(), 2U);
      QCOMPARE(whole.callsEnded, 2);
      QCOMPARE(whole.calls[0].name, std::string("get_weather"));
      QCOMPARE(whole.calls[0].arguments, std::string("{\"city\": \"Tokyo\"}"));
      QCOMPARE(whole.calls[1].arguments, std::string("{\"city\": \"New York\"}"));
      QVERIFY(whole.calls[0].id != whole.calls[1].id);
      QCOMPARE(whole.finish->reason, std::string("tool_calls"));
    }
  }

  void withoutParallelCallsTheAnswerEndsAfterTheFirst() {
    FakeReply reply;
    reply.text = twoCalls();
    GenerationOptions one = options();
    one.parallelToolCalls = false;
    FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
    const Whole whole = run(engine, std::move(one));
    QCOMPARE(whole.calls.size(), 1U);
    QCOMPARE(whole.finish->reason, std::string("tool_calls"));
  }

  void unwantedCallsAreSwallowed() {
    FakeReply reply;
    reply.text = "Text." + twoCalls();
    GenerationOptions none = options();
    none.callTools = false;
    const Whole whole = run(reply, std::move(none));
    QCOMPARE(whole.content, std::string("Text."));
    QVERIFY(whole.calls.empty());
    QCOMPARE(whole.finish->reason, std::string("stop"));
  }

  void aForcedCallContinuesItsPrefix() {
    FakeReply reply;
    reply.text =
        "<｜DSML｜parameter name=\"city\" string=\"true\">Rome</｜DSML｜parameter>\n"
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>";
    GenerationOptions forced = options();
    forced.forcedPrefix = "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n";
    const Whole whole = run(reply, std::move(forced));
    QCOMPARE(whole.calls.size(), 1U);
    QCOMPARE(whole.calls[0].arguments, std::string("{\"city\": \"Rome\"}"));
    QCOMPARE(whole.finish->reason, std::string("tool_calls"));
  }

  void aStopStringEndsTheAnswerAndTheRequest() {
    FakeReply reply;
    reply.text = "one two END three";
    reply.endless = true;
    for (const std::size_t pieces : {1U, 5U, 64U}) {
      reply.tokensPerPiece = pieces;
      FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
      GenerationOptions stop = options();
      stop.stop = {"END"};
      const Whole whole = run(engine, std::move(stop));
      QCOMPARE(whole.content, std::string("one two "));
      QCOMPARE(whole.finish->reason, std::string("stop"));
      QCOMPARE(engine.live(), 0U);
    }
  }

  void stopStringsDoNotCountInsideTheReasoning() {
    FakeReply reply;
    reply.text = "END of thought</think>said";
    GenerationOptions stop = options(true);
    stop.stop = {"END"};
    const Whole whole = run(reply, std::move(stop));
    QCOMPARE(whole.reasoning, std::string("END of thought"));
    QCOMPARE(whole.content, std::string("said"));
  }

  void textThatOnlyLookedLikeAStopStringIsDelivered() {
    FakeReply reply;
    reply.text = "the EN";
    GenerationOptions stop = options();
    stop.stop = {"END"};
    QCOMPARE(run(reply, std::move(stop)).content, std::string("the EN"));
  }

  void logprobsComeWithTheTextTheyMade() {
    logprobs_ = true;
    FakeReply reply;
    reply.text = "thought</think>answer é";
    for (std::size_t pieces = 1; pieces < 26; ++pieces) {
      reply.tokensPerPiece = pieces;
      const Whole whole = run(reply, options(true));
      QCOMPARE(whole.reasoningTokens, whole.reasoning);
      QCOMPARE(whole.contentTokens, std::string("answer é"));
      // The first is the token after the seven of the thought and their end.
      QCOMPARE(whole.contentLogprobs.front(), testing::fakeLogprob(8));
    }
  }

  void everyLogprobCarriesItsAlternatives() {
    logprobs_ = true;
    FakeReply reply;
    reply.text = "ab";
    FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
    api::TokenRequest request;
    request.id = "r1";
    request.prompt = {0};
    request.sampling.logprobs = true;
    request.sampling.topLogprobs = 2;
    Generation generation(engine, tokenizer_, logger_, *engine.submit(request), options());
    std::vector<ReplyLogprob> logprobs;
    for (ReplyProgress progress; !progress.finish;) {
      progress = generation.advance();
      for (const ReplyEvent& event : progress.events) {
        const auto& part = std::get<ContentText>(event).logprobs;
        logprobs.insert(logprobs.end(), part.begin(), part.end());
      }
    }
    QCOMPARE(logprobs.size(), 2U);
    QCOMPARE(logprobs[1].top.size(), 2U);
    QCOMPARE(logprobs[1].top[0].bytes, std::string("b"));
    QCOMPARE(logprobs[1].top[1].bytes, std::string("c"));
    QCOMPARE(logprobs[1].top[1].logprob, testing::fakeLogprob(1) - 1);
  }

  void tokensOfCallsHaveNoLogprobs() {
    logprobs_ = true;
    FakeReply reply;
    reply.text = "Look:" + twoCalls();
    for (const std::size_t pieces : {1U, 7U, 1000U}) {
      reply.tokensPerPiece = pieces;
      const Whole whole = run(reply, options());
      QCOMPARE(whole.calls.size(), 2U);
      QCOMPARE(whole.contentTokens, std::string("Look:"));
    }
  }

  void logprobsEndWhereAStopStringCuts() {
    logprobs_ = true;
    FakeReply reply;
    reply.text = "one ENEND two";
    GenerationOptions stop = options();
    stop.stop = {"END"};
    for (const std::size_t pieces : {1U, 2U, 1000U}) {
      reply.tokensPerPiece = pieces;
      const Whole whole = run(reply, stop);
      QCOMPARE(whole.content, std::string("one EN"));
      QCOMPARE(whole.contentTokens, std::string("one EN"));
    }
  }

  void withoutLogprobsThereAreNone() {
    FakeReply reply;
    reply.text = "abc";
    QVERIFY(run(reply, options()).contentLogprobs.empty());
  }

  void anUnfinishedGenerationIsCancelledWhenItIsDropped() {
    FakeReply reply;
    reply.text = "again ";
    reply.endless = true;
    FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
    api::TokenRequest request;
    request.id = "r1";
    request.prompt = {0};
    auto queue = engine.submit(request);
    { const Generation generation(engine, tokenizer_, logger_, *queue, options()); }
    QCOMPARE(engine.live(), 0U);
    QCOMPARE(engine.cancelled(), 1U);
  }

  void aFailureCarriesTheEnginesReason() {
    FakeReply reply;
    reply.text = "half an answer";
    reply.failAfterTokens = 4;
    const Whole whole = run(reply, options());
    QCOMPARE(whole.content, std::string("half"));
    QVERIFY(whole.finish->error.has_value());
    QCOMPARE(whole.finish->error->message, std::string("rank 1 is gone"));
  }

  void theTokenLimitEndsWithLength() {
    FakeReply reply;
    reply.text = "abcdefgh";
    FakeEngine engine(tokenizer_, [&reply](const std::string&) { return reply; });
    api::TokenRequest request;
    request.id = "r1";
    request.prompt = {0};
    request.sampling.maxTokens = 3;
    Generation generation(engine, tokenizer_, logger_, *engine.submit(request), options());
    Whole whole;
    while (!whole.finish) {
      whole.add(generation.advance());
    }
    QCOMPARE(whole.content, std::string("abc"));
    QCOMPARE(whole.finish->reason, std::string("length"));
  }
};

QTEST_APPLESS_MAIN(GenerationTest)
#include "generation_test.moc"
