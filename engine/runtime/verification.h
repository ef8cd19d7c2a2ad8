// SPDX-License-Identifier: GPL-3.0-or-later
// Draws the next tokens of a sequence from the rows of one step, up to the first wrong guess.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/api/draft_stats.h"
#include "engine/api/request_output.h"
#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/runtime/sampler.h"
#include "engine/runtime/sequence.h"

namespace tandem::runtime {

struct DrawnTokens {
  std::vector<TokenId> tokens;               // the stop token is not among them
  std::vector<api::TokenLogprobs> logprobs;  // one a token, if asked for
  std::optional<api::FinishReason> finish;   // the sequence ends with these
  std::optional<Error> error;                // when finish is Failed
};

/// Row j is behind the newest token and the first j guesses. It counts as long as the guesses
/// before it are what was drawn: so each token is drawn from the logits, and with the random
/// number, that it has without any guess. That is exact for every way of sampling, and for a guess
/// that is the likeliest token accepts as often as rejection sampling: with the probability of the
/// token.
///
/// The sequence's sampling state accepts the tokens; the sequence itself stays as it is.
///
/// logits  [1 + guesses, vocabSize]
DrawnTokens drawTokens(Sampler& sampler,
                       Sequence& sequence,
                       std::span<const float> logits,
                       std::span<const TokenId> guesses);

/// Which of the guesses were accepted, given what was drawn with them.
[[nodiscard]] api::DraftStats checkedDrafts(std::span<const TokenId> guesses,
                                            std::span<const TokenId> drawn);

}  // namespace tandem::runtime
