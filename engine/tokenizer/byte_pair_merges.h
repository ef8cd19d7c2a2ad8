// SPDX-License-Identifier: GPL-3.0-or-later
// Byte-pair encoding: which neighbours merge, and in what order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/token_id.h"

namespace tandem::tokenizer {

/// `left` and `right`, neighbours, become `merged`. A merge's rank is its place in the file.
struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId merged = 0;
};

/// The merges behind one hash lookup a pair. Immutable; thread-safe.
class BytePairMerges {
 public:
  BytePairMerges(const std::array<TokenId, 256>& byteTokens, const std::vector<Merge>& merges);

  /// What encoding writes to; keeps its memory from piece to piece.
  class Scratch {
    friend class BytePairMerges;
    struct Symbol {
      TokenId id;
      std::int32_t previous;  // index, or kNone
      std::int32_t next;
    };
    struct Candidate {
      std::uint32_t rank;
      std::int32_t left;  // index of the left symbol
      TokenId leftId;     // as they were when it was queued: if a symbol has
      TokenId rightId;    // changed since, the candidate is void
      TokenId merged;
    };
    std::vector<Symbol> symbols_;
    std::vector<Candidate> queue_;
  };

  /// Appends the ids of `piece` to `out`: the merge of lowest rank first, the leftmost of equals,
  /// until none applies. O(n log n) in the piece's bytes.
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  struct Slot {
    std::uint64_t pair = kEmpty;
    std::uint32_t rank = 0;
    TokenId merged = 0;
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static constexpr std::int32_t kNone = -1;

  static std::uint64_t pairKey(TokenId left, TokenId right);
  [[nodiscard]] std::size_t slotIndex(std::uint64_t pair) const;
  [[nodiscard]] const Slot* find(TokenId left, TokenId right) const;
  void queue(std::int32_t left, Scratch& scratch) const;

  std::array<TokenId, 256> byteTokens_;
  std::vector<Slot> slots_;  // open addressing; a power of two, at most half full
  unsigned shift_ = 0;
};

}  // namespace tandem::tokenizer
