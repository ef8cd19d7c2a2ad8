// SPDX-License-Identifier: GPL-3.0-or-later
// How long a model may think before it has to answer.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/token_id.h"

namespace tandem::api {

/// When `tokens` tokens of the thinking are spent, the engine itself writes `endTokens`, and the
/// model goes on behind them. Thinking that has ended, by the model or by force, does not begin
/// again: the count never restarts.
struct ThinkingBudget {
  std::int64_t tokens = 0;         // at least 0; the prompt's own do not count
  bool startsInside = false;       // the prompt ends inside the thinking; else nothing is counted
  std::vector<TokenId> endTokens;  // what ends it, in this order: the one id of </think>
};

}  // namespace tandem::api
