// SPDX-License-Identifier: GPL-3.0-or-later
// Chooses the next token from one row of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/api/sampling_params.h"
#include "engine/base/result.h"
#include "engine/base/token_id.h"

namespace tandem::runtime {

/// Keeps its scratch memory between calls. Engine thread of rank 0.
class Sampler {
 public:
  /// temperature 0: the largest logit; of equal ones the lowest token id.
  /// else: softmax(logits / temperature), cut to the smallest set of most likely tokens (ties:
  /// lower id first) whose probability reaches topP, then drawn with the number uniformAt(seed,
  /// position).
  ///
  /// logits    [vocabSize]
  /// position  of the token that is being chosen; makes the draw independent of batch and timing
  /// Fails     Internal when a logit is not a number or the largest is infinite.
  Result<TokenId> sample(std::span<const float> logits,
                         const api::SamplingParams& params,
                         std::uint64_t seed,
                         std::int64_t position);

 private:
  struct Candidate {
    double weight = 0;  // probability before normalising
    TokenId token = 0;
  };

  TokenId draw(std::span<const float> logits,
               float largest,
               const api::SamplingParams& params,
               double uniform);

  std::vector<Candidate> candidates_;
};

}  // namespace tandem::runtime
