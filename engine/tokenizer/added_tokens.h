// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the literals of added tokens in a text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/token_id.h"

namespace tandem::tokenizer {

/// A trie over the literals: the longest that starts at a place is found in its length's time.
/// Immutable once filled.
class AddedTokenTrie {
 public:
  AddedTokenTrie();

  /// `literal` is not empty.
  void add(std::string_view literal, TokenId id);

  struct Match {
    TokenId id = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// The leftmost literal within [from, limit) of `text`, and of those that start there the
  /// longest.
  [[nodiscard]] std::optional<Match> find(std::string_view text,
                                          std::size_t from,
                                          std::size_t limit) const;

  [[nodiscard]] std::optional<TokenId> idOf(std::string_view literal) const;

 private:
  static constexpr TokenId kNoToken = -1;
  struct Node {
    std::vector<std::pair<char, std::uint32_t>> children;
    TokenId id = kNoToken;
  };

  [[nodiscard]] const Node* child(const Node& node, char byte) const;

  std::vector<Node> nodes_;                // nodes_[0] is the root
  std::array<bool, 256> startsLiteral_{};  // by first byte: almost every place fails here
};

}  // namespace tandem::tokenizer
