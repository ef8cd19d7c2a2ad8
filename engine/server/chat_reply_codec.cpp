// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/chat_reply_codec.h"

#include <fmt/core.h>

#include <chrono>
#include <utility>

#include <nlohmann/json.hpp>

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

/// The decode begins with the first token, so n tokens are n - 1 intervals.
double intervals(const ReplyUsage& usage) {
  return static_cast<double>(std::max<std::int64_t>(usage.tokens.completionTokens - 1, 0));
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

Json chunkJson(const ReplyHead& head, bool includeUsage, Json delta, Json finishReason) {
  Json chunk = headJson(head, "chat.completion.chunk");
  chunk["choices"] = Json::array({{{"index", 0},
                                   {"delta", std::move(delta)},
                                   {"logprobs", nullptr},
                                   {"finish_reason", std::move(finishReason)}}});
  if (includeUsage) {
    chunk["usage"] = nullptr;
  }
  return chunk;
}

/// The delta of an event; null for events that say nothing to a client.
struct DeltaOf {
  Json operator()(const ReasoningText& event) const { return {{"reasoning_content", event.text}}; }
  Json operator()(const ContentText& event) const { return {{"content", event.text}}; }
  Json operator()(const ToolCallBegin& event) const {
    return toolCall({{"index", event.index},
                     {"id", event.id},
                     {"type", "function"},
                     {"function", {{"name", event.name}, {"arguments", ""}}}});
  }
  Json operator()(const ToolCallArguments& event) const {
    return toolCall({{"index", event.index}, {"function", {{"arguments", event.text}}}});
  }
  Json operator()(const ToolCallEnd& /*event*/) const { return nullptr; }

  static Json toolCall(Json call) {
    Json delta = Json::object();
    delta["tool_calls"] = Json::array();
    delta["tool_calls"].push_back(std::move(call));
    return delta;
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
                           const ChatReply& reply,
                           const std::string& finishReason,
                           const ReplyUsage& usage,
                           const api::RequestTimings& timings) {
  Json completion = headJson(head, "chat.completion");
  completion["choices"] = Json::array({{{"index", 0},
                                        {"message", messageJson(reply)},
                                        {"logprobs", nullptr},
                                        {"finish_reason", finishReason}}});
  completion["usage"] = usageJson(usage);
  completion["timings"] = timingsJson(usage, timings);
  return toText(completion);
}

ChunkWriter::ChunkWriter(ReplyHead head, bool includeUsage, bool timingsPerToken)
    : head_(std::move(head)),
      includeUsage_(includeUsage),
      timingsPerToken_(timingsPerToken) {}

std::string ChunkWriter::role() const {
  const Json delta{{"role", "assistant"}, {"content", ""}};
  return serverSentEvent(chunkJson(head_, includeUsage_, delta, nullptr));
}

std::string ChunkWriter::events(const ReplyProgress& progress) const {
  std::string text;
  for (const ReplyEvent& event : progress.events) {
    Json delta = std::visit(DeltaOf{}, event);
    if (delta.is_null()) {
      continue;
    }
    Json chunk = chunkJson(head_, includeUsage_, std::move(delta), nullptr);
    if (timingsPerToken_) {
      chunk["timings"] = timingsJson(progress.usage, progress.timings);
    }
    text += serverSentEvent(chunk);
  }
  return text;
}

std::string ChunkWriter::finish(const std::string& reason,
                                const ReplyUsage& usage,
                                const api::RequestTimings& timings) const {
  Json last = chunkJson(head_, includeUsage_, Json::object(), reason);
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
