// SPDX-License-Identifier: GPL-3.0-or-later
// Byte-pair encoding: which neighbours merge, and in what order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/tokenizer/rank_buckets.h"

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
    /// A token of the piece so far; a merge keeps the left symbol and drops the right one.
    struct Symbol {
      TokenId id;
      std::uint32_t rank;     // of its merge with the next symbol, or kNoMerge
      std::int32_t previous;  // index, or kNone
      std::int32_t next;
    };
    std::vector<Symbol> symbols_;
    RankBuckets buckets_;
    std::vector<std::int32_t> positions_;
  };

  /// Appends the ids of `piece` to `out`: the merge of lowest rank first, the leftmost of equals,
  /// until none applies. O(n log n) in the piece's bytes.
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  struct Slot {
    std::uint64_t pair = kEmpty;
    std::uint32_t rank = 0;
  };
  using Symbols = std::vector<Scratch::Symbol>;
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static constexpr std::uint32_t kNoMerge = ~std::uint32_t{0};
  static constexpr std::int32_t kNone = -1;

  static std::uint64_t pairKey(TokenId left, TokenId right);
  [[nodiscard]] std::size_t slotIndex(std::uint64_t pair) const;
  [[nodiscard]] std::uint32_t rankOf(TokenId left, TokenId right) const;

  /// Merges the symbol at `left` with the next one, and looks up what its neighbours would merge
  /// to.
  void merge(Symbols& symbols, std::int32_t left) const;
  /// For short pieces: O(n^2), without any structure to fill.
  void mergeByScanning(Symbols& symbols) const;
  void mergeByBuckets(Scratch& scratch) const;

  std::array<TokenId, 256> byteTokens_;
  std::vector<Slot> slots_;        // open addressing; a power of two, at most half full
  std::vector<TokenId> mergedOf_;  // by rank
  unsigned shift_ = 0;
};

}  // namespace tandem::tokenizer
