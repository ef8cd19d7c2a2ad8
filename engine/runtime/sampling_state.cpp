// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/sampling_state.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tandem::runtime {

SamplingState::SamplingState(const api::SamplingParams& params,
                             std::optional<api::ThinkingBudget> thinking,
                             std::span<const TokenId> tokens,
                             std::int64_t promptTokens)
    : countsAnswer_(params.presencePenalty != 0 || params.frequencyPenalty != 0 ||
                    params.repetitionPenalty != 1) {
  const auto prompt = tokens.first(static_cast<std::size_t>(promptTokens));
  const auto answer = tokens.subspan(prompt.size());
  if (thinking) {
    thinking_.emplace(*std::move(thinking));
    for (const TokenId token : answer) {
      thinking_->accept(token);
    }
  }
  if (countsAnswer_) {
    if (params.repetitionPenalty != 1) {
      for (const TokenId token : prompt) {
        seen_.push_back({token, 0});
      }
    }
    for (const TokenId token : answer) {
      seen_.push_back({token, 1});
    }
    joinEqual();
  }
}

/// Sorts what is seen and adds up what is said of one token. One sort, because putting a long
/// sequence's tokens in place one by one is quadratic.
void SamplingState::joinEqual() {
  std::sort(seen_.begin(), seen_.end(), [](const SeenToken& a, const SeenToken& b) {
    return a.token < b.token;
  });
  std::size_t kept = 0;
  for (const SeenToken seen : seen_) {
    if (kept > 0 && seen_[kept - 1].token == seen.token) {
      seen_[kept - 1].inAnswer += seen.inAnswer;
    } else {
      seen_[kept++] = seen;
    }
  }
  seen_.resize(kept);
}

void SamplingState::accept(TokenId token) {
  if (thinking_) {
    thinking_->accept(token);
  }
  if (!countsAnswer_) {
    return;
  }
  auto place =
      std::lower_bound(seen_.begin(), seen_.end(), token, [](const SeenToken& seen, TokenId id) {
        return seen.token < id;
      });
  if (place == seen_.end() || place->token != token) {
    place = seen_.insert(place, {token, 0});
  }
  ++place->inAnswer;
}

std::optional<TokenId> SamplingState::forcedToken() const {
  return thinking_ ? thinking_->forcedToken() : std::nullopt;
}

}  // namespace tandem::runtime
