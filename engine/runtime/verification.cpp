// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/verification.h"

#include <algorithm>
#include <utility>

namespace tandem::runtime {

DrawnTokens drawTokens(Sampler& sampler,
                       Sequence& sequence,
                       std::span<const float> logits,
                       std::span<const TokenId> guesses) {
  const std::size_t vocabSize = logits.size() / (guesses.size() + 1);
  DrawnTokens drawn;
  for (std::size_t row = 0; row <= guesses.size(); ++row) {
    const std::int64_t position =
        sequence.length() + static_cast<std::int64_t>(drawn.tokens.size());
    Result<SampledToken> sampled = sampler.sample(logits.subspan(row * vocabSize, vocabSize),
                                                  sequence.sampling,
                                                  sequence.samplingState,
                                                  sequence.seed,
                                                  position);
    if (!sampled) {
      drawn.finish = api::FinishReason::Failed;
      drawn.error = sampled.error();
      return drawn;
    }
    const TokenId token = sampled->token;
    const std::vector<TokenId>& stops = sequence.stopTokens;
    if (!sequence.sampling.ignoreEos &&
        std::find(stops.begin(), stops.end(), token) != stops.end()) {
      drawn.finish = api::FinishReason::Stop;
      return drawn;
    }
    sequence.samplingState.accept(token);
    drawn.tokens.push_back(token);
    if (sampled->logprobs) {
      drawn.logprobs.push_back(*std::move(sampled->logprobs));
    }
    if (position + 1 >= sequence.maxTokens) {
      drawn.finish = api::FinishReason::Length;
      return drawn;
    }
    if (row < guesses.size() && guesses[row] != token) {
      return drawn;
    }
  }
  return drawn;
}

api::DraftStats checkedDrafts(std::span<const TokenId> guesses, std::span<const TokenId> drawn) {
  api::DraftStats stats;
  bool accepted = true;
  for (std::size_t i = 0; i < std::min(guesses.size(), api::kDraftPositions); ++i) {
    accepted = accepted && i < drawn.size() && drawn[i] == guesses[i];
    stats.proposed[i] = 1;
    stats.accepted[i] = accepted ? 1 : 0;
  }
  return stats;
}

}  // namespace tandem::runtime
