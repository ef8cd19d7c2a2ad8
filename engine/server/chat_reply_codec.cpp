// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/chat_reply_codec.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/utf8.h"

namespace tandem::server {

namespace {

using Json = nlohmann::ordered_json;

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// 0 instead of a division by zero, as before the first token.
double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

/// The decode begins with the first token, so n tokens of one choice are n - 1 intervals.
double intervals(const ReplyUsage& usage) {
  return static_cast<double>(
      std::max<std::int64_t>(usage.tokens.completionTokens - usage.choices, 0));
}

Json usageJson(const ReplyUsage& usage) {
  const api::RequestUsage& tokens = usage.tokens;
  return {{"prompt_tokens", tokens.promptTokens},
          {"completion_tokens", tokens.completionTokens},
          {"total_tokens", tokens.promptTokens + tokens.completionTokens},
          {"prompt_tokens_details", {{"cached_tokens", tokens.cachedTokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoningTokens}}},
          {"prompt_cache_hit_tokens", tokens.cachedTokens},
          {"prompt_cache_miss_tokens", tokens.promptTokens - tokens.cachedTokens}};
}

Json timingsJson(const ReplyUsage& usage, const api::RequestTimings& timings) {
  const auto prefilled = static_cast<double>(usage.tokens.promptTokens - usage.tokens.cachedTokens);
  const double promptMs = milliseconds(timings.prefill);
  const double decodeMs = milliseconds(timings.decode);
  return {{"cache_n", usage.tokens.cachedTokens},
          {"prompt_n", usage.tokens.promptTokens - usage.tokens.cachedTokens},
          {"prompt_ms", promptMs},
          {"prompt_per_token_ms", ratio(promptMs, prefilled)},
          {"prompt_per_second", ratio(prefilled * 1000, promptMs)},
          {"predicted_n", usage.tokens.completionTokens},
          {"predicted_ms", decodeMs},
          {"predicted_per_token_ms", ratio(decodeMs, intervals(usage))},
          {"predicted_per_second", ratio(intervals(usage) * 1000, decodeMs)},
          {"queued_ms", milliseconds(timings.queued)}};
}

std::string toText(const Json& json) {
  // The model's text is whole UTF-8 by now; a broken byte would be ours and must not end a stream.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string serverSentEvent(const Json& json) {
  return "data: " + toText(json) + "\n\n";
}

Json headJson(const ReplyHead& head, const char* object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.createdSeconds},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint}};
}

Json tokenJson(const ReplyToken& token) {
  // JSON has no infinity; -9999 is OpenAI's own word for "as good as impossible".
  constexpr double kImpossible = -9999;
  Json bytes = Json::array();
  for (const char byte : token.bytes) {
    bytes.push_back(static_cast<unsigned char>(byte));
  }
  return {{"token", tokenizer::lossyUtf8(token.bytes)},
          {"logprob", std::max(token.logprob, kImpossible)},
          {"bytes", std::move(bytes)}};
}

Json logprobList(const std::vector<ReplyLogprob>& logprobs) {
  Json list = Json::array();
  for (const ReplyLogprob& logprob : logprobs) {
    Json entry = tokenJson(logprob.token);
    entry["top_logprobs"] = Json::array();
    for (const ReplyToken& other : logprob.top) {
      entry["top_logprobs"].push_back(tokenJson(other));
    }
    list.push_back(std::move(entry));
  }
  return list;
}

/// Null where the text has none.
Json contentLogprobs(const std::vector<ReplyLogprob>& logprobs) {
  return logprobs.empty() ? Json() : Json{{"content", logprobList(logprobs)}, {"refusal", nullptr}};
}

Json reasoningLogprobs(const std::vector<ReplyLogprob>& logprobs) {
  return logprobs.empty() ? Json()
                          : Json{{"content", nullptr},
                                 {"refusal", nullptr},
                                 {"reasoning_content", logprobList(logprobs)}};
}

/// Of a whole answer.
Json logprobsJson(const ChatReply& reply) {
  if (!reply.withLogprobs) {
    return nullptr;
  }
  Json logprobs{{"content", logprobList(reply.contentLogprobs)}, {"refusal", nullptr}};
  if (!reply.reasoningLogprobs.empty()) {
    logprobs["reasoning_content"] = logprobList(reply.reasoningLogprobs);
  }
  return logprobs;
}

/// What a chunk says of its choice.
struct ChunkChoice {
  int index = 0;
  Json delta = Json::object();
  Json logprobs = nullptr;
  Json finishReason = nullptr;
};

Json chunkJson(const ReplyHead& head, bool includeUsage, ChunkChoice choice) {
  Json chunk = headJson(head, "chat.completion.chunk");
  chunk["choices"] = Json::array({{{"index", choice.index},
                                   {"delta", std::move(choice.delta)},
                                   {"logprobs", std::move(choice.logprobs)},
                                   {"finish_reason", std::move(choice.finishReason)}}});
  if (includeUsage) {
    chunk["usage"] = nullptr;
  }
  return chunk;
}

/// The delta of an event and its logprobs; a null delta for events that say nothing to a client.
struct ChunkOf {
  int index = 0;

  ChunkChoice operator()(const ReasoningText& event) const {
    return {index, {{"reasoning_content", event.text}}, reasoningLogprobs(event.logprobs), {}};
  }
  ChunkChoice operator()(const ContentText& event) const {
    return {index, {{"content", event.text}}, contentLogprobs(event.logprobs), {}};
  }
  ChunkChoice operator()(const ToolCallBegin& event) const {
    return toolCall({{"index", event.index},
                     {"id", event.id},
                     {"type", "function"},
                     {"function", {{"name", event.name}, {"arguments", ""}}}});
  }
  ChunkChoice operator()(const ToolCallArguments& event) const {
    return toolCall({{"index", event.index}, {"function", {{"arguments", event.text}}}});
  }
  ChunkChoice operator()(const ToolCallEnd& /*event*/) const { return {index, {}, {}, {}}; }

  [[nodiscard]] ChunkChoice toolCall(Json call) const {
    Json delta = Json::object();
    delta["tool_calls"] = Json::array();
    delta["tool_calls"].push_back(std::move(call));
    return {index, std::move(delta), {}, {}};
  }
};

Json messageJson(const ChatReply& reply) {
  Json message{{"role", "assistant"}};
  const bool onlyCalls = reply.content.empty() && !reply.toolCalls.empty();
  message["content"] = onlyCalls ? Json() : Json(reply.content);
  if (!reply.reasoning.empty()) {
    message["reasoning_content"] = reply.reasoning;
  }
  if (!reply.toolCalls.empty()) {
    message["tool_calls"] = Json::array();
    for (const ReplyToolCall& call : reply.toolCalls) {
      message["tool_calls"].push_back(
          {{"id", call.id},
           {"type", "function"},
           {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
  }
  return message;
}

}  // namespace

std::string completionJson(const ReplyHead& head,
                           std::span<const ChatReply> choices,
                           const ReplyUsage& usage,
                           const api::RequestTimings& timings) {
  Json completion = headJson(head, "chat.completion");
  completion["choices"] = Json::array();
  for (const ChatReply& reply : choices) {
    completion["choices"].push_back({{"index", completion["choices"].size()},
                                     {"message", messageJson(reply)},
                                     {"logprobs", logprobsJson(reply)},
                                     {"finish_reason", reply.finishReason}});
  }
  completion["usage"] = usageJson(usage);
  completion["timings"] = timingsJson(usage, timings);
  return toText(completion);
}

ChunkWriter::ChunkWriter(ReplyHead head, bool includeUsage, bool timingsPerToken)
    : head_(std::move(head)),
      includeUsage_(includeUsage),
      timingsPerToken_(timingsPerToken) {}

std::string ChunkWriter::role(int index) const {
  const Json delta{{"role", "assistant"}, {"content", ""}};
  return serverSentEvent(chunkJson(head_, includeUsage_, {index, delta, {}, {}}));
}

std::string ChunkWriter::events(int index, const ReplyProgress& progress) const {
  std::string text;
  for (const ReplyEvent& event : progress.events) {
    ChunkChoice choice = std::visit(ChunkOf{index}, event);
    if (choice.delta.is_null()) {
      continue;
    }
    Json chunk = chunkJson(head_, includeUsage_, std::move(choice));
    if (timingsPerToken_) {
      chunk["timings"] = timingsJson(progress.usage, progress.timings);
    }
    text += serverSentEvent(chunk);
  }
  return text;
}

std::string ChunkWriter::finishChoice(int index, const std::string& reason) const {
  return serverSentEvent(chunkJson(head_, includeUsage_, {index, Json::object(), {}, reason}));
}

std::string ChunkWriter::finish(int index,
                                const std::string& reason,
                                const ReplyUsage& usage,
                                const api::RequestTimings& timings) const {
  Json last = chunkJson(head_, includeUsage_, {index, Json::object(), {}, reason});
  std::string text;
  if (includeUsage_) {
    text += serverSentEvent(last);
    last = headJson(head_, "chat.completion.chunk");
    last["choices"] = Json::array();
    last["usage"] = usageJson(usage);
  }
  last["timings"] = timingsJson(usage, timings);
  return text + serverSentEvent(last) + "data: [DONE]\n\n";
}

std::string ChunkWriter::error(const ApiError& error) {
  return "data: " + toJson(error) + "\n\n";
}

std::string summaryOf(const ReplyUsage& usage, const api::RequestTimings& timings) {
  const double decodeMs = milliseconds(timings.decode);
  return fmt::format("prompt {} ({} cached), {} tokens, ttft {:.3f} s, {:.1f} tok/s",
                     usage.tokens.promptTokens,
                     usage.tokens.cachedTokens,
                     usage.tokens.completionTokens,
                     milliseconds(timings.queued + timings.prefill) / 1000,
                     ratio(intervals(usage) * 1000, decodeMs));
}

}  // namespace tandem::server
