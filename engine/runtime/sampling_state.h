// SPDX-License-Identifier: GPL-3.0-or-later
// What the choice of a sequence's next token depends on, besides its logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/api/sampling_params.h"
#include "engine/api/thinking_budget.h"
#include "engine/base/token_id.h"
#include "engine/runtime/thinking_limiter.h"

namespace tandem::runtime {

/// A token that the penalties look at.
struct SeenToken {
  TokenId token = 0;
  std::uint32_t inAnswer = 0;  // how often; 0: it is in the prompt only

  friend bool operator==(const SeenToken&, const SeenToken&) = default;
};

/// A function of the sequence's tokens: built from all of them (a start, or a start again after the
/// sequence had to give its place away), then told each further one. Where one step gives several
/// rows of logits, the token chosen from a row is accepted before the next row is sampled.
///
/// Keeps only what the parameters need: by default nothing. Engine thread of rank 0.
class SamplingState {
 public:
  /// Of a request that asks for nothing.
  SamplingState() = default;

  /// `tokens` are all of the sequence so far; the first `promptTokens` of them are the prompt.
  SamplingState(const api::SamplingParams& params,
                std::optional<api::ThinkingBudget> thinking,
                std::span<const TokenId> tokens,
                std::int64_t promptTokens);

  /// The sequence's next token. Takes O(log n) in n different tokens seen, and a short move.
  void accept(TokenId token);

  /// The token that must come next, whatever the logits say; nothing while the choice is free.
  [[nodiscard]] std::optional<TokenId> forcedToken() const;

  /// By ascending id. Empty unless a penalty is in force.
  [[nodiscard]] std::span<const SeenToken> seen() const { return seen_; }

 private:
  void joinEqual();

  bool countsAnswer_ = false;
  std::vector<SeenToken> seen_;
  std::optional<ThinkingLimiter> thinking_;
};

}  // namespace tandem::runtime
