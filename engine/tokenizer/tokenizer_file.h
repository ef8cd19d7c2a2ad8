// SPDX-License-Identifier: GPL-3.0-or-later
// A Hugging Face tokenizer.json, checked and reduced to what byte-level BPE needs.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/tokenizer/byte_pair_merges.h"

namespace tandem::tokenizer {

struct TokenizerFile {
  struct Token {
    bool exists = false;
    std::string bytes;
  };
  struct AddedToken {
    std::string literal;
    TokenId id = 0;
  };

  std::vector<std::string> splitPatterns;  // the pre-tokenizer's Split steps, in order
  std::vector<Token> tokens;               // by id; ids may have gaps
  std::array<TokenId, 256> byteTokens{};   // the token of each single byte
  std::vector<Merge> merges;               // by rank
  std::vector<AddedToken> addedTokens;
};

/// Reads a tokenizer.json. `source` names it in messages.
///
/// What the file says about truncation, padding and post-processing is left to the caller of the
/// tokenizer: the chat encoder writes BOS itself.
///
/// Fails   DataCorrupt when the text is not JSON, a field is missing or ids contradict each other;
///         InvalidArgument when a component is of a kind that is not supported
Result<TokenizerFile> readTokenizerFile(std::string_view json, const std::string& source);

}  // namespace tandem::tokenizer
