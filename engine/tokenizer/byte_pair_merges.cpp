// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/byte_pair_merges.h"

#include <algorithm>
#include <bit>

namespace tandem::tokenizer {

BytePairMerges::BytePairMerges(const std::array<TokenId, 256>& byteTokens,
                               const std::vector<Merge>& merges)
    : byteTokens_(byteTokens),
      slots_(std::bit_ceil(2 * merges.size() + 2)) {
  shift_ = static_cast<unsigned>(64 - std::countr_zero(slots_.size()));
  std::uint32_t rank = 0;
  for (const Merge& merge : merges) {
    const std::uint64_t pair = pairKey(merge.left, merge.right);
    std::size_t index = slotIndex(pair);
    while (slots_[index].pair != kEmpty && slots_[index].pair != pair) {
      index = (index + 1) & (slots_.size() - 1);
    }
    slots_[index] = Slot{pair, rank++};
    mergedOf_.push_back(merge.merged);
  }
}

std::uint64_t BytePairMerges::pairKey(TokenId left, TokenId right) {
  return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32U) |
         static_cast<std::uint32_t>(right);
}

std::size_t BytePairMerges::slotIndex(std::uint64_t pair) const {
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15U;  // Fibonacci hashing
  return static_cast<std::size_t>((pair * kGoldenRatio) >> shift_);
}

std::uint32_t BytePairMerges::rankOf(TokenId left, TokenId right) const {
  const std::uint64_t pair = pairKey(left, right);
  for (std::size_t index = slotIndex(pair);; index = (index + 1) & (slots_.size() - 1)) {
    if (slots_[index].pair == pair) {
      return slots_[index].rank;
    }
    if (slots_[index].pair == kEmpty) {
      return kNoMerge;
    }
  }
}

void BytePairMerges::merge(Symbols& symbols, std::int32_t left) const {
  Scratch::Symbol& symbol = symbols[static_cast<std::size_t>(left)];
  Scratch::Symbol& dropped = symbols[static_cast<std::size_t>(symbol.next)];
  symbol.id = mergedOf_[symbol.rank];
  symbol.next = dropped.next;
  symbol.rank = kNoMerge;
  dropped.rank = kNoMerge;
  if (symbol.next != kNone) {
    Scratch::Symbol& next = symbols[static_cast<std::size_t>(symbol.next)];
    next.previous = left;
    symbol.rank = rankOf(symbol.id, next.id);
  }
  if (symbol.previous != kNone) {
    Scratch::Symbol& previous = symbols[static_cast<std::size_t>(symbol.previous)];
    previous.rank = rankOf(previous.id, symbol.id);
  }
}

void BytePairMerges::mergeByScanning(Symbols& symbols) const {
  while (true) {
    std::int32_t best = kNone;
    std::uint32_t lowest = kNoMerge;
    for (std::int32_t i = 0; i != kNone; i = symbols[static_cast<std::size_t>(i)].next) {
      if (symbols[static_cast<std::size_t>(i)].rank < lowest) {
        lowest = symbols[static_cast<std::size_t>(i)].rank;
        best = i;
      }
    }
    if (best == kNone) {
      return;
    }
    merge(symbols, best);
  }
}

void BytePairMerges::mergeByBuckets(Scratch& scratch) const {
  Symbols& symbols = scratch.symbols_;
  RankBuckets& buckets = scratch.buckets_;
  buckets.prepare(mergedOf_.size());
  const auto rankAt = [&symbols](std::int32_t position) {
    return symbols[static_cast<std::size_t>(position)].rank;
  };
  const auto add = [&](std::int32_t position) {
    if (rankAt(position) != kNoMerge) {
      buckets.add(rankAt(position), position);
    }
  };
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(symbols.size()); ++i) {
    add(i);
  }
  constexpr std::size_t kAhead = 8;  // merges, while a symbol comes from memory
  std::uint32_t rank = 0;
  std::vector<std::int32_t>& positions = scratch.positions_;
  while (buckets.takeLowest(rank, positions)) {
    for (std::size_t i = 0; i < positions.size(); ++i) {
      const std::int32_t left = positions[i];
      if (i + kAhead < positions.size()) {
        __builtin_prefetch(&symbols[static_cast<std::size_t>(positions[i + kAhead])]);
      }
      if (rankAt(left) != rank) {
        continue;  // its neighbourhood has changed since it was added
      }
      merge(symbols, left);
      std::uint32_t lowest = rankAt(left);
      const std::int32_t previous = symbols[static_cast<std::size_t>(left)].previous;
      if (previous != kNone) {
        add(previous);
        lowest = std::min(lowest, rankAt(previous));
      }
      add(left);
      // A file may rank what a merge makes possible before the merge itself. Then that comes first,
      // and the rest of this bucket waits again.
      if (lowest <= rank) {
        for (++i; i < positions.size(); ++i) {
          if (rankAt(positions[i]) == rank) {
            buckets.add(rank, positions[i]);
          }
        }
      }
    }
  }
}

void BytePairMerges::encode(std::string_view piece,
                            Scratch& scratch,
                            std::vector<TokenId>& out) const {
  if (piece.empty()) {
    return;
  }
  constexpr std::size_t kScanned = 48;  // from here on the buckets are faster
  Symbols& symbols = scratch.symbols_;
  symbols.clear();
  for (const char byte : piece) {
    const TokenId id = byteTokens_[static_cast<std::uint8_t>(byte)];
    const auto index = static_cast<std::int32_t>(symbols.size());
    if (index > 0) {
      symbols.back().next = index;
      symbols.back().rank = rankOf(symbols.back().id, id);
    }
    symbols.push_back({id, kNoMerge, index - 1, kNone});
  }
  if (piece.size() <= kScanned) {
    mergeByScanning(symbols);
  } else {
    mergeByBuckets(scratch);
  }
  for (std::int32_t i = 0; i != kNone; i = symbols[static_cast<std::size_t>(i)].next) {
    out.push_back(symbols[static_cast<std::size_t>(i)].id);
  }
}

}  // namespace tandem::tokenizer
