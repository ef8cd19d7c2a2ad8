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
  if (thinking) {
    thinking_.emplace(*std::move(thinking));
  }
  const auto prompt = tokens.first(static_cast<std::size_t>(promptTokens));
  if (params.repetitionPenalty != 1) {
    seen_.reserve(prompt.size());
    for (const TokenId token : prompt) {
      seen_.push_back({token, 0});
    }
    std::sort(seen_.begin(), seen_.end(), [](const SeenToken& a, const SeenToken& b) {
      return a.token < b.token;
    });
    seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
  }
  for (const TokenId token : tokens.subspan(prompt.size())) {
    accept(token);
  }
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
