// SPDX-License-Identifier: GPL-3.0-or-later
// How the next token is chosen from the logits.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/token_id.h"

namespace tandem::api {

/// Added to a token's logit.
struct LogitBias {
  TokenId token = 0;
  double bias = 0;  // [-100, 100]

  friend bool operator==(const LogitBias&, const LogitBias&) = default;
};

/// Ranges are checked where the values are parsed; the sampler assumes them. The defaults change
/// nothing: the token is drawn from the model's own distribution.
///
/// Applied in this order, that of vLLM: logitBias, repetitionPenalty, frequencyPenalty and
/// presencePenalty on the logits; then temperature; then minP, topK and topP, each on what the one
/// before it left.
struct SamplingParams {
  double temperature = 1.0;  // [0, 2]; 0 is greedy, which honours the bias and the penalties only
  double topP = 1.0;         // (0, 1]; the likeliest tokens that together reach this share
  std::int64_t topK = 0;     // the k likeliest tokens; 0: all
  double minP = 0;           // [0, 1]; tokens at least this likely, the likeliest counting as 1

  double presencePenalty = 0;        // [-2, 2]; taken off once from a token of the answer
  double frequencyPenalty = 0;       // [-2, 2]; taken off for each time a token is in the answer
  double repetitionPenalty = 1;      // [0.01, 100]; logits above 0 of tokens of the prompt or the
                                     // answer are divided by it, the others multiplied
  std::vector<LogitBias> logitBias;  // each token once

  std::optional<std::uint64_t> seed;      // none: drawn at random for this request
  std::optional<std::int64_t> maxTokens;  // none: to the end of the context
  bool ignoreEos = false;                 // for benchmarks

  bool logprobs = false;  // RequestOutput::logprobs is wanted
  int topLogprobs = 0;    // [0, 20]; the likeliest tokens beside each
};

}  // namespace tandem::api
