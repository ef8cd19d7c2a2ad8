// SPDX-License-Identifier: GPL-3.0-or-later
// Token ids to text while they arrive: whole characters only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem::tokenizer {

/// One generation's text. Any split of the ids over push() gives the same text as
/// Tokenizer::decode.
///
/// Owned by one thread. Keeps a reference to the tokenizer, which must outlive it.
class Detokenizer {
 public:
  /// `hidden` tokens give no text: BOS, EOS and padding. (The file's `special` flags cannot decide
  /// this: chat markup is not flagged, and must reach the output parser.)
  explicit Detokenizer(const Tokenizer& tokenizer, std::vector<TokenId> hidden = {});

  /// The characters that `ids` completed; what is still part of a character waits.
  [[nodiscard]] std::string push(std::span<const TokenId> ids);

  /// The end: what waits can no longer become a character and is returned as U+FFFD.
  [[nodiscard]] std::string flush();

 private:
  const Tokenizer* tokenizer_;
  std::vector<TokenId> hidden_;
  std::string incomplete_;  // at most three bytes: a prefix of one character
};

}  // namespace tandem::tokenizer
