// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/chat_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/server/chat_answer.h"
#include "engine/server/generation.h"
#include "engine/server/random_id.h"
#include "engine/tokenizer/chat_markup.h"
#include "engine/tokenizer/output_parser.h"

namespace tandem::server {

namespace {

using tokenizer::ThinkingMode;

/// The wording that agents look for before they shorten their history.
ApiError contextExceeded(std::int64_t contextTokens, std::size_t promptTokens) {
  ApiError error = invalidRequest(fmt::format(
      "This model's maximum context length is {} tokens. However, your messages resulted "
      "in {} tokens. Please reduce the length of the messages.",
      contextTokens,
      promptTokens));
  error.code = "context_length_exceeded";
  error.param = "messages";
  return error;
}

std::optional<ApiError> refusalOfBias(const api::SamplingParams& sampling, std::int64_t vocabSize) {
  for (const api::LogitBias& bias : sampling.logitBias) {
    if (bias.token >= vocabSize) {
      return invalidField(
          fmt::format("logit_bias.{}", bias.token),
          fmt::format("this model has no such token; its ids are 0 to {}", vocabSize - 1));
    }
  }
  return std::nullopt;
}

ApiError queueFull(const Error& error) {
  return ApiError{429, "rate_limit_error", "queue_full", "", error.text(), 1};
}

std::string loadingMessage(const api::EngineStats& stats) {
  return fmt::format("the model is loading{}; try again in a moment",
                     stats.phase ? fmt::format(" (phase {})", api::phaseName(*stats.phase)) : "");
}

bool forcesCall(const ToolChoice& choice) {
  return choice.kind == ToolChoiceKind::Required || choice.kind == ToolChoiceKind::Named;
}

/// The beginning of a tool call, written for the model so that it cannot answer otherwise.
std::string callPrefix(const ToolChoice& choice) {
  std::string prefix = "\n\n";
  prefix += tokenizer::kToolCallsBegin;
  prefix += '\n';
  prefix += tokenizer::kInvokeBegin;
  if (choice.kind == ToolChoiceKind::Named) {
    prefix += choice.name;
    prefix += "\">\n";
  }
  return prefix;
}

/// What clients wrote cannot hold the tokens that open a message.
std::vector<std::int64_t> messageBegins(const tokenizer::Tokenizer& tokenizer,
                                        std::span<const TokenId> prompt) {
  const std::optional<TokenId> user = tokenizer.tokenId(tokenizer::kUser);
  const std::optional<TokenId> assistant = tokenizer.tokenId(tokenizer::kAssistant);
  std::vector<std::int64_t> begins;
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    if (prompt[i] == user || prompt[i] == assistant) {
      begins.push_back(static_cast<std::int64_t>(i));
    }
  }
  return begins;
}

}  // namespace

std::optional<ApiError> refusalOfState(const api::EngineClient& engine) {
  switch (engine.state()) {
    case api::EngineState::Ready:
      return std::nullopt;
    case api::EngineState::Starting:
      return notReady("model_loading", loadingMessage(*engine.stats()));
    case api::EngineState::Draining:
    case api::EngineState::Stopped:
      return notReady("server_stopping", "the engine is stopping and takes no new requests");
    case api::EngineState::Failed: {
      ApiError error = notReady("engine_failed", "the engine has failed; its log has the reason");
      error.retryAfterSeconds.reset();
      return error;
    }
  }
  return std::nullopt;
}

ApiResult<std::unique_ptr<LiveAnswer>> ChatService::begin(ChatRequest request) const {
  if (std::optional<ApiError> refusal = refusalOfState(engine_)) {
    return std::move(*refusal);
  }
  Result<std::vector<tokenizer::DeclaredTool>> tools =
      request.conversation.toolsJson.empty()
          ? std::vector<tokenizer::DeclaredTool>()
          : tokenizer::declaredTools(request.conversation.toolsJson);
  if (!tools) {
    return fromError(tools.error().within("tools"));
  }
  if (request.toolChoice.kind == ToolChoiceKind::None) {
    request.conversation.toolsJson.clear();
  }
  ApiResult<Prompt> prompt = encode(request);
  if (!prompt) {
    return prompt.error();
  }

  const api::EngineInfo info = engine_.info();
  const auto promptTokens = static_cast<std::int64_t>(prompt->tokens.size());
  const std::int64_t room = info.contextTokens - promptTokens;
  if (room < 1) {
    return contextExceeded(info.contextTokens, prompt->tokens.size());
  }

  if (std::optional<ApiError> refusal = refusalOfBias(request.sampling, info.vocabSize)) {
    return std::move(*refusal);
  }

  GenerationOptions options;
  const bool continued = request.conversation.messages.back().openEnd;
  options.parser.thinking = request.conversation.thinking == ThinkingMode::Thinking && !continued &&
                            prompt->forcedPrefix.empty();
  options.parser.tools = std::move(*tools);
  options.forcedPrefix = std::move(prompt->forcedPrefix);
  options.stop = request.stop;
  options.callTools = request.toolChoice.kind != ToolChoiceKind::None;
  options.parallelToolCalls = request.parallelToolCalls;

  api::TokenRequest submission;
  submission.boundaries = messageBegins(tokenizer_, prompt->tokens);
  submission.prompt = std::move(prompt->tokens);
  submission.sampling = request.sampling;
  // What does not fit is cut, not refused: agents ask for a fixed number near the end of a window.
  submission.sampling.maxTokens = std::min(request.sampling.maxTokens.value_or(room), room);
  submission.stopTokens = stopTokensOf(tokenizer_);
  if (request.thinkingTokens && options.parser.thinking) {
    submission.thinking = thinkingBudget(*request.thinkingTokens);
  }

  ReplyHead head{randomId("chatcmpl-"),
                 wallMilliseconds() / 1000,
                 info.modelName,
                 info.fingerprint};
  std::vector<std::unique_ptr<Generation>> generations;
  for (int choice = 0; choice < request.choices; ++choice) {
    submission.id = request.choices == 1 ? head.id : fmt::format("{}-{}", head.id, choice);
    if (request.sampling.seed) {
      // Each choice is the answer that n = 1 would give with this seed.
      submission.sampling.seed = *request.sampling.seed + static_cast<std::uint64_t>(choice);
    }
    options.id = submission.id;
    Result<std::shared_ptr<api::OutputQueue>> queue = engine_.submit(submission);
    if (!queue) {  // the choices before it are cancelled when they go
      const bool full = queue.error().code == ErrorCode::Unavailable && !refusalOfState(engine_);
      return full ? queueFull(queue.error()) : fromError(queue.error());
    }
    generations.push_back(
        std::make_unique<Generation>(engine_, tokenizer_, logger_, std::move(*queue), options));
  }
  Result<std::unique_ptr<LiveAnswer>> answer =
      makeChatAnswer(request, std::move(head), std::move(generations));
  if (!answer) {
    return fromError(answer.error());
  }
  return *std::move(answer);
}

std::optional<api::ThinkingBudget> ChatService::thinkingBudget(std::int64_t tokens) const {
  const std::optional<TokenId> end = tokenizer_.tokenId(tokenizer::kThinkEnd);
  return end ? std::optional(api::ThinkingBudget{tokens, true, {*end}}) : std::nullopt;
}

ApiResult<ChatService::Prompt> ChatService::encode(const ChatRequest& request) const {
  Result<tokenizer::ChatPrompt> rendered = encoder_.encode(request.conversation);
  if (!rendered) {
    return fromError(rendered.error());
  }
  Prompt prompt;
  std::string text = std::move(rendered->text);
  if (forcesCall(request.toolChoice)) {
    if (request.conversation.thinking == ThinkingMode::Thinking) {
      text += tokenizer::kThinkEnd;  // a forced call leaves no room for reasoning
    }
    prompt.forcedPrefix = callPrefix(request.toolChoice);
    text += prompt.forcedPrefix;
  }
  // Markup inside a client's text stays text: nobody ends a turn by writing so.
  Result<std::vector<TokenId>> tokens = tokenizer_.encode(text, rendered->foreign);
  if (!tokens) {
    return fromError(tokens.error());
  }
  prompt.tokens = std::move(*tokens);
  return prompt;
}

}  // namespace tandem::server
