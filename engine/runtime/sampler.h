// SPDX-License-Identifier: GPL-3.0-or-later
// Chooses the next token from one row of logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/api/request_output.h"
#include "engine/api/sampling_params.h"
#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/runtime/sampling_state.h"

namespace tandem::runtime {

struct SampledToken {
  TokenId token = 0;
  std::optional<api::TokenLogprobs> logprobs;  // if the parameters ask for them
};

/// Keeps its scratch memory between calls. Engine thread of rank 0.
class Sampler {
 public:
  /// A token that `state` forces; else, from the logits with bias and penalties (the order is in
  /// api::SamplingParams):
  ///
  /// temperature 0: the largest logit; of equal ones the lowest token id.
  /// else: softmax(logits / temperature), cut by minP, topK and topP (of equally likely tokens at
  /// an edge the lower ids stay), then drawn with the number uniformAt(seed, position).
  ///
  /// The logprobs are those of softmax(logits), of the logits as given.
  ///
  /// A pure function of its arguments. The state is not changed: whoever keeps the token tells it
  /// so with SamplingState::accept().
  ///
  /// logits    [vocabSize]
  /// params    in their ranges; a bias of a token outside the vocabulary does nothing
  /// position  of the token that is being chosen; makes the draw independent of batch and timing
  /// Fails     Internal when a logit is not a number or the largest is infinite.
  Result<SampledToken> sample(std::span<const float> logits,
                              const api::SamplingParams& params,
                              const SamplingState& state,
                              std::uint64_t seed,
                              std::int64_t position);

 private:
  struct Candidate {
    double weight = 0;  // probability before normalising
    TokenId token = 0;
  };

  std::span<const float> adjust(std::span<const float> logits,
                                const api::SamplingParams& params,
                                std::span<const SeenToken> seen);
  TokenId draw(std::span<const float> logits,
               float largest,
               const api::SamplingParams& params,
               double uniform);
  void keepLikeliest(std::size_t count);
  void keepNucleus(double wanted);
  [[nodiscard]] double totalWeight() const;

  static bool lessLikely(const Candidate& a, const Candidate& b);

  std::vector<float> adjusted_;
  std::vector<Candidate> candidates_;
};

}  // namespace tandem::runtime
