// SPDX-License-Identifier: GPL-3.0-or-later
// The fields of a request that say how tokens are chosen. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/api/sampling_params.h"
#include "engine/server/json_field.h"

namespace tandem::server {

/// Reads every sampling field of a request body; what is absent or null keeps its default. A value
/// of another kind or outside its range is noted with its path, itself and the range.
///
/// Source   temperature, top_p, penalties, logit_bias, seed and limits of OpenAI; top_k, min_p,
///          repetition_penalty and ignore_eos of vLLM
[[nodiscard]] api::SamplingParams readSampling(const JsonField& body);

/// Reads `logprobs` (true or false) and `top_logprobs`, as chat requests spell them.
void readChatLogprobs(const JsonField& body, api::SamplingParams& sampling);

/// The tokens a request allows for thinking, by the first field that is there.
///
/// Source   thinking_token_budget of vLLM, thinking.budget_tokens of Anthropic and DeepSeek,
///          reasoning.max_tokens of OpenRouter
[[nodiscard]] std::optional<std::int64_t> readThinkingBudget(const JsonField& body);

}  // namespace tandem::server
