// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/sampling_codec.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace tandem::server {

namespace {

constexpr std::int64_t kAnyInteger = std::numeric_limits<std::int64_t>::max();
constexpr int kMaxTopLogprobs = 20;

/// A token id as JSON keys spell it: digits without a sign or leading zeros.
std::optional<TokenId> tokenOfKey(const std::string& key) {
  TokenId token = 0;
  const char* end = key.data() + key.size();
  const auto [parsed, problem] = std::from_chars(key.data(), end, token);
  const bool whole = problem == std::errc() && parsed == end && std::to_string(token) == key;
  return whole && token >= 0 ? std::optional(token) : std::nullopt;
}

void readLogitBias(const JsonField& field, api::SamplingParams& sampling) {
  if (!field.present()) {
    return;
  }
  for (const auto& [key, value] : field.members()) {
    const std::optional<TokenId> token = tokenOfKey(key);
    if (!token) {
      value.fail("is no token id; expected an object like {\"1234\": -100}");
      return;
    }
    sampling.logitBias.push_back({*token, value.number(-100, 100)});
  }
}

}  // namespace

api::SamplingParams readSampling(const JsonField& body) {
  api::SamplingParams sampling;
  sampling.temperature = body["temperature"].numberOr(sampling.temperature, 0, 2);
  sampling.topP = body["top_p"].numberOr(sampling.topP, 0, 1);
  if (sampling.topP == 0) {  // a nucleus of one token
    sampling.topP = 1;
    sampling.temperature = 0;
  }
  if (const JsonField topK = body["top_k"]; topK.present()) {  // -1 is vLLM's word for "all"
    sampling.topK = std::max<std::int64_t>(topK.integer(-1, kAnyInteger), 0);
  }
  sampling.minP = body["min_p"].numberOr(sampling.minP, 0, 1);
  sampling.presencePenalty = body["presence_penalty"].numberOr(sampling.presencePenalty, -2, 2);
  sampling.frequencyPenalty = body["frequency_penalty"].numberOr(sampling.frequencyPenalty, -2, 2);
  sampling.repetitionPenalty =
      body["repetition_penalty"].numberOr(sampling.repetitionPenalty, 0.01, 100);
  readLogitBias(body["logit_bias"], sampling);
  if (const JsonField seed = body["seed"]; seed.present()) {
    sampling.seed = static_cast<std::uint64_t>(seed.integer(-kAnyInteger, kAnyInteger));
  }
  const JsonField newName = body["max_completion_tokens"];
  const JsonField limit = newName.present() ? newName : body["max_tokens"];
  if (limit.present()) {
    sampling.maxTokens = limit.integer(1, kAnyInteger);
  }
  sampling.ignoreEos = body["ignore_eos"].booleanOr(false);
  return sampling;
}

void readChatLogprobs(const JsonField& body, api::SamplingParams& sampling) {
  sampling.logprobs = body["logprobs"].booleanOr(false);
  const JsonField top = body["top_logprobs"];
  if (!top.present()) {
    return;
  }
  sampling.topLogprobs = static_cast<int>(top.integer(0, kMaxTopLogprobs));
  if (sampling.topLogprobs > 0 && !sampling.logprobs) {
    top.fail("needs \"logprobs\": true beside it");
  }
}

std::optional<std::int64_t> readThinkingBudget(const JsonField& body) {
  std::optional<std::int64_t> budget;
  for (const JsonField& field : {body["thinking_token_budget"],
                                 body["thinking"]["budget_tokens"],
                                 body["reasoning"]["max_tokens"]}) {
    if (field.present() && !budget) {
      budget = field.integer(0, kAnyInteger);
    }
  }
  return budget;
}

}  // namespace tandem::server
