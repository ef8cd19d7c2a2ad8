// SPDX-License-Identifier: GPL-3.0-or-later
// One generation as the engine sees it: token ids in, token ids out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/sampling_params.h"
#include "engine/api/thinking_budget.h"
#include "engine/base/token_id.h"

namespace tandem::api {

struct TokenRequest {
  std::string id;               // unique among live requests; in logs and the panel
  std::vector<TokenId> prompt;  // not empty, each in [0, vocabSize)
  SamplingParams sampling;
  std::vector<TokenId> stopTokens;         // generation ends with one of these; it is not delivered
  std::optional<ThinkingBudget> thinking;  // none: as long as the model likes
  // Positions of `prompt` where messages begin, ascending: a later prompt is likely to go on as
  // this one up to one of them. The cache keeps what it needs to resume near there.
  std::vector<std::int64_t> boundaries;
};

}  // namespace tandem::api
