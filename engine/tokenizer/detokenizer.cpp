// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/detokenizer.h"

#include <algorithm>

#include "engine/tokenizer/utf8.h"

namespace tandem::tokenizer {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, std::vector<TokenId> hidden)
    : tokenizer_(&tokenizer),
      hidden_(std::move(hidden)) {}

std::string Detokenizer::push(std::span<const TokenId> ids) {
  std::string bytes = std::move(incomplete_);
  incomplete_.clear();
  for (const TokenId id : ids) {
    if (std::find(hidden_.begin(), hidden_.end(), id) == hidden_.end()) {
      bytes += tokenizer_->contains(id) ? tokenizer_->tokenBytes(id) : kReplacementCharacter;
    }
  }
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view rest = std::string_view(bytes).substr(at);
    const Utf8Step step = stepUtf8(rest);
    if (step.kind == Utf8Step::Kind::Incomplete) {
      incomplete_ = rest;
      break;
    }
    text += step.kind == Utf8Step::Kind::Character ? rest.substr(0, step.length)
                                                   : kReplacementCharacter;
    at += step.length;
  }
  return text;
}

std::string Detokenizer::flush() {
  const std::string text = lossyUtf8(incomplete_);
  incomplete_.clear();
  return text;
}

}  // namespace tandem::tokenizer
