// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/verification.h"

#include <algorithm>

namespace tandem::runtime {

DrawnTokens drawTokens(Sampler& sampler,
                       const Sequence& sequence,
                       std::span<const float> logits,
                       std::span<const TokenId> guesses) {
  const std::size_t vocabSize = logits.size() / (guesses.size() + 1);
  DrawnTokens drawn;
  for (std::size_t row = 0; row <= guesses.size(); ++row) {
    const std::int64_t position =
        sequence.length() + static_cast<std::int64_t>(drawn.tokens.size());
    const Result<TokenId> token = sampler.sample(logits.subspan(row * vocabSize, vocabSize),
                                                 sequence.sampling,
                                                 sequence.seed,
                                                 position);
    if (!token) {
      drawn.finish = api::FinishReason::Failed;
      drawn.error = token.error();
      return drawn;
    }
    const std::vector<TokenId>& stops = sequence.stopTokens;
    if (!sequence.sampling.ignoreEos &&
        std::find(stops.begin(), stops.end(), *token) != stops.end()) {
      drawn.finish = api::FinishReason::Stop;
      return drawn;
    }
    drawn.tokens.push_back(*token);
    if (position + 1 >= sequence.maxTokens) {
      drawn.finish = api::FinishReason::Length;
      return drawn;
    }
    if (row < guesses.size() && guesses[row] != *token) {
      return drawn;
    }
  }
  return drawn;
}

}  // namespace tandem::runtime
