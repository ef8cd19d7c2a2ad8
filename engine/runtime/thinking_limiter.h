// SPDX-License-Identifier: GPL-3.0-or-later
// Counts what a model thinks, and says what must be written once it has thought enough.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/api/thinking_budget.h"
#include "engine/base/token_id.h"

namespace tandem::runtime {

/// The thinking of one sequence. Advanced token by token; the same tokens give the same state.
class ThinkingLimiter {
 public:
  explicit ThinkingLimiter(api::ThinkingBudget budget);

  /// The next token of the answer, whoever chose it.
  void accept(TokenId token);

  /// The token that must come next; nothing while the model is free.
  [[nodiscard]] std::optional<TokenId> forcedToken() const;

 private:
  api::ThinkingBudget budget_;
  bool inside_;
  std::int64_t spent_ = 0;
  std::size_t forced_ = 0;       // of budget_.endTokens
  std::vector<TokenId> recent_;  // the newest tokens, as many as endTokens
};

}  // namespace tandem::runtime
