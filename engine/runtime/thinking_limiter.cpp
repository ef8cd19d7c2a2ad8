// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/thinking_limiter.h"

#include <utility>

namespace tandem::runtime {

ThinkingLimiter::ThinkingLimiter(api::ThinkingBudget budget)
    : budget_(std::move(budget)),
      inside_(budget_.startsInside && !budget_.endTokens.empty()) {}

void ThinkingLimiter::accept(TokenId token) {
  if (!inside_) {
    return;
  }
  if (spent_ >= budget_.tokens) {
    ++forced_;
  } else {
    ++spent_;
  }
  recent_.push_back(token);
  if (recent_.size() > budget_.endTokens.size()) {
    recent_.erase(recent_.begin());
  }
  // A forced end that begins behind half a natural one is complete earlier than it is written.
  inside_ = recent_ != budget_.endTokens && forced_ < budget_.endTokens.size();
}

std::optional<TokenId> ThinkingLimiter::forcedToken() const {
  if (!inside_ || spent_ < budget_.tokens) {
    return std::nullopt;
  }
  return budget_.endTokens[forced_];
}

}  // namespace tandem::runtime
