// SPDX-License-Identifier: GPL-3.0-or-later
// What comes back from a generation, piece by piece.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/api/token_request.h"
#include "engine/base/result.h"

namespace tandem::api {

enum class FinishReason {
  Stop,       // a stop token
  Length,     // maxTokens or the end of the context
  Cancelled,  // cancel() or a draining stop
  Failed,     // RequestOutput::error says why
};

struct RequestUsage {
  std::int64_t promptTokens = 0;
  std::int64_t cachedTokens = 0;  // of promptTokens, taken from the prefix cache
  std::int64_t completionTokens = 0;
};

/// Durations measured by the engine thread.
struct RequestTimings {
  std::chrono::nanoseconds queued{0};   // submit to first prefill step
  std::chrono::nanoseconds prefill{0};  // first prefill step to first token
  std::chrono::nanoseconds decode{0};   // first token to the newest
};

struct TokenLogprob {
  TokenId token = 0;
  double logprob = 0;

  friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

/// How likely the model found a token that was chosen, and what else was likely: natural logarithms
/// of its own distribution, before bias, penalties and temperature.
struct TokenLogprobs {
  double logprob = 0;
  std::vector<TokenLogprob> top;  // SamplingParams::topLogprobs of them, the likeliest first

  friend bool operator==(const TokenLogprobs&, const TokenLogprobs&) = default;
};

/// New tokens of one request since the last piece. The last piece has `finish`.
struct RequestOutput {
  std::vector<TokenId> tokens;
  std::vector<TokenLogprobs> logprobs;  // one for each token if asked for, else empty
  RequestUsage usage;
  RequestTimings timings;
  std::optional<FinishReason> finish;
  std::optional<Error> error;
};

}  // namespace tandem::api
