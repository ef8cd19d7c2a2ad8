// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "engine/runtime/counter_random.h"

namespace tandem::runtime {

Result<TokenId> Sampler::sample(std::span<const float> logits,
                                const api::SamplingParams& params,
                                std::uint64_t seed,
                                std::int64_t position) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) {
      return Error{ErrorCode::Internal,
                   fmt::format("the model gave no number for token {} at position {}", i, position),
                   "Run tandem-engine selftest; the weights or the back end are broken."};
    }
    if (logits[i] > logits[best]) {
      best = i;
    }
  }
  if (!std::isfinite(logits[best])) {
    return Error{ErrorCode::Internal,
                 fmt::format("the largest logit at position {} is {}", position, logits[best]),
                 "Run tandem-engine selftest; the weights or the back end are broken."};
  }
  if (params.temperature <= 0) {
    return static_cast<TokenId>(best);
  }
  return draw(logits, logits[best], params, uniformAt(seed, static_cast<std::uint64_t>(position)));
}

TokenId Sampler::draw(std::span<const float> logits,
                      float largest,
                      const api::SamplingParams& params,
                      double uniform) {
  candidates_.clear();
  double total = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp((static_cast<double>(logits[i]) - largest) / params.temperature);
    total += weight;
    candidates_.push_back({weight, static_cast<TokenId>(i)});
  }
  auto end = candidates_.end();
  if (params.topP < 1) {
    // Popping the few most likely from a heap costs less than sorting the whole vocabulary.
    const auto lessLikely = [](const Candidate& a, const Candidate& b) {
      return a.weight != b.weight ? a.weight < b.weight : a.token > b.token;
    };
    std::make_heap(candidates_.begin(), end, lessLikely);
    const double wanted = params.topP * total;
    double kept = 0;
    while (kept < wanted && end != candidates_.begin()) {
      std::pop_heap(candidates_.begin(), end, lessLikely);
      --end;
      kept += end->weight;
    }
    candidates_.erase(candidates_.begin(), end);
    total = kept;
  }
  const double target = uniform * total;
  double reached = 0;
  for (const Candidate& candidate : candidates_) {
    reached += candidate.weight;
    if (target < reached) {
      return candidate.token;
    }
  }
  // Rounding of the sum may leave the target a hair above it; the last possible token is meant.
  const auto possible =
      std::find_if(candidates_.rbegin(), candidates_.rend(), [](const Candidate& candidate) {
        return candidate.weight > 0;
      });
  return possible->token;
}

}  // namespace tandem::runtime
