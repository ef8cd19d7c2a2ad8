// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/added_tokens.h"

namespace tandem::tokenizer {

AddedTokenTrie::AddedTokenTrie()
    : nodes_(1) {}

void AddedTokenTrie::add(std::string_view literal, TokenId id) {
  startsLiteral_[static_cast<std::uint8_t>(literal[0])] = true;
  std::size_t at = 0;
  for (const char byte : literal) {
    const Node* next = child(nodes_[at], byte);
    if (next == nullptr) {
      nodes_[at].children.emplace_back(byte, static_cast<std::uint32_t>(nodes_.size()));
      at = nodes_.size();
      nodes_.emplace_back();
    } else {
      at = static_cast<std::size_t>(next - nodes_.data());
    }
  }
  nodes_[at].id = id;
}

std::optional<AddedTokenTrie::Match> AddedTokenTrie::find(std::string_view text,
                                                          std::size_t from,
                                                          std::size_t limit) const {
  for (std::size_t begin = from; begin < limit; ++begin) {
    if (!startsLiteral_[static_cast<std::uint8_t>(text[begin])]) {
      continue;
    }
    std::optional<Match> longest;
    const Node* node = nodes_.data();
    for (std::size_t at = begin; at < limit; ++at) {
      node = child(*node, text[at]);
      if (node == nullptr) {
        break;
      }
      if (node->id != kNoToken) {
        longest = Match{node->id, begin, at + 1};
      }
    }
    if (longest) {
      return longest;
    }
  }
  return std::nullopt;
}

std::optional<TokenId> AddedTokenTrie::idOf(std::string_view literal) const {
  const std::optional<Match> match = find(literal, 0, literal.size());
  if (match && match->begin == 0 && match->end == literal.size()) {
    return match->id;
  }
  return std::nullopt;
}

const AddedTokenTrie::Node* AddedTokenTrie::child(const Node& node, char byte) const {
  for (const auto& [label, index] : node.children) {
    if (label == byte) {
      return &nodes_[index];
    }
  }
  return nullptr;
}

}  // namespace tandem::tokenizer
