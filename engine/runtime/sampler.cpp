// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "engine/runtime/counter_random.h"

namespace tandem::runtime {

namespace {

/// The index of the largest; of equal ones the first.
std::size_t indexOfLargest(std::span<const float> logits) {
  return static_cast<std::size_t>(
      std::distance(logits.begin(), std::max_element(logits.begin(), logits.end())));
}

/// As indexOfLargest(), for what came from a model.
Result<std::size_t> checkedLargest(std::span<const float> logits, std::int64_t position) {
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
  return best;
}

/// Absurd logits must not become infinite by a penalty; one that rules its token out stays so.
float narrowed(double logit) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::isfinite(logit) ? std::clamp(logit, -kLargest, kLargest) : logit);
}

/// The `count` largest, the largest first; of equal ones the lower id first.
std::vector<api::TokenLogprob> largestOf(std::span<const float> logits, std::size_t count) {
  std::vector<api::TokenLogprob> top;  // with logits in the place of logprobs
  const auto comesBefore = [](double logit, const api::TokenLogprob& other) {
    return logit > other.logprob;
  };
  for (std::size_t i = 0; i < logits.size() && count > 0; ++i) {
    const double logit = logits[i];
    if (top.size() == count && logit <= top.back().logprob) {
      continue;
    }
    if (top.size() == count) {
      top.pop_back();
    }
    top.insert(std::upper_bound(top.begin(), top.end(), logit, comesBefore),
               {static_cast<TokenId>(i), logit});
  }
  return top;
}

api::TokenLogprobs logprobsOf(std::span<const float> logits,
                              float largest,
                              TokenId chosen,
                              int count) {
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(logit) - largest);
  }
  const double logOfSum = largest + std::log(sum);
  api::TokenLogprobs logprobs;
  logprobs.logprob = logits[static_cast<std::size_t>(chosen)] - logOfSum;
  logprobs.top = largestOf(logits, static_cast<std::size_t>(count));
  for (api::TokenLogprob& other : logprobs.top) {
    other.logprob -= logOfSum;
  }
  return logprobs;
}

}  // namespace

Result<SampledToken> Sampler::sample(std::span<const float> logits,
                                     const api::SamplingParams& params,
                                     const SamplingState& state,
                                     std::uint64_t seed,
                                     std::int64_t position) {
  const Result<std::size_t> largest = checkedLargest(logits, position);
  if (!largest) {
    return largest.error();
  }
  SampledToken sampled;
  if (const std::optional<TokenId> forced = state.forcedToken()) {
    sampled.token = *forced;
  } else {
    std::span<const float> row = logits;
    std::size_t best = *largest;
    if (!params.logitBias.empty() || !state.seen().empty()) {
      row = adjust(logits, params, state.seen());
      best = indexOfLargest(row);
    }
    sampled.token =
        params.temperature <= 0
            ? static_cast<TokenId>(best)
            : draw(row, row[best], params, uniformAt(seed, static_cast<std::uint64_t>(position)));
  }
  if (params.logprobs) {
    sampled.logprobs = logprobsOf(logits, logits[*largest], sampled.token, params.topLogprobs);
  }
  return sampled;
}

std::span<const float> Sampler::adjust(std::span<const float> logits,
                                       const api::SamplingParams& params,
                                       std::span<const SeenToken> seen) {
  adjusted_.assign(logits.begin(), logits.end());
  const auto known = [&logits](TokenId token) {
    return token >= 0 && static_cast<std::size_t>(token) < logits.size();
  };
  for (const api::LogitBias& bias : params.logitBias) {
    if (known(bias.token)) {
      float& logit = adjusted_[static_cast<std::size_t>(bias.token)];
      logit = narrowed(logit + bias.bias);
    }
  }
  for (const SeenToken& token : seen) {
    if (!known(token.token)) {
      continue;
    }
    float& logit = adjusted_[static_cast<std::size_t>(token.token)];
    double value = logit;
    value = value > 0 ? value / params.repetitionPenalty : value * params.repetitionPenalty;
    value -= params.frequencyPenalty * token.inAnswer;
    value -= token.inAnswer > 0 ? params.presencePenalty : 0;
    logit = narrowed(value);
  }
  return adjusted_;
}

TokenId Sampler::draw(std::span<const float> logits,
                      float largest,
                      const api::SamplingParams& params,
                      double uniform) {
  candidates_.clear();
  double total = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    // The likeliest token's weight is 1, so minP is a bound of the weights themselves.
    const double weight = std::exp((static_cast<double>(logits[i]) - largest) / params.temperature);
    if (weight >= params.minP) {
      total += weight;
      candidates_.push_back({weight, static_cast<TokenId>(i)});
    }
  }
  if (params.topK > 0 && static_cast<std::uint64_t>(params.topK) < candidates_.size()) {
    keepLikeliest(static_cast<std::size_t>(params.topK));
    total = totalWeight();
  }
  if (params.topP < 1) {
    keepNucleus(params.topP * total);
    total = totalWeight();
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

/// Leaves the `count` likeliest candidates, by ascending id: the order in which a selection leaves
/// them is the library's own, and the draw must not depend on that.
void Sampler::keepLikeliest(std::size_t count) {
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  std::nth_element(candidates_.begin(),
                   end,
                   candidates_.end(),
                   [](const Candidate& a, const Candidate& b) { return lessLikely(b, a); });
  candidates_.erase(end, candidates_.end());
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.token < b.token;
  });
}

/// Leaves the fewest likeliest candidates whose weights reach `wanted`.
void Sampler::keepNucleus(double wanted) {
  // Popping the few most likely from a heap costs less than sorting the whole vocabulary.
  auto end = candidates_.end();
  std::make_heap(candidates_.begin(), end, lessLikely);
  double kept = 0;
  while (kept < wanted && end != candidates_.begin()) {
    std::pop_heap(candidates_.begin(), end, lessLikely);
    --end;
    kept += end->weight;
  }
  candidates_.erase(candidates_.begin(), end);
}

double Sampler::totalWeight() const {
  double total = 0;
  for (const Candidate& candidate : candidates_) {
    total += candidate.weight;
  }
  return total;
}

bool Sampler::lessLikely(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight < b.weight : a.token > b.token;
}

}  // namespace tandem::runtime
