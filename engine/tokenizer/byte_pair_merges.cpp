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
    slots_[index] = Slot{pair, rank++, merge.merged};
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

const BytePairMerges::Slot* BytePairMerges::find(TokenId left, TokenId right) const {
  const std::uint64_t pair = pairKey(left, right);
  for (std::size_t index = slotIndex(pair);; index = (index + 1) & (slots_.size() - 1)) {
    if (slots_[index].pair == pair) {
      return &slots_[index];
    }
    if (slots_[index].pair == kEmpty) {
      return nullptr;
    }
  }
}

namespace {

/// For the heap functions, whose front is the "greatest": the lowest rank, then the leftmost.
constexpr auto kAfter = [](const auto& a, const auto& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
};

}  // namespace

void BytePairMerges::queue(std::int32_t left, Scratch& scratch) const {
  const Scratch::Symbol& symbol = scratch.symbols_[static_cast<std::size_t>(left)];
  if (symbol.next == kNone) {
    return;
  }
  const TokenId rightId = scratch.symbols_[static_cast<std::size_t>(symbol.next)].id;
  if (const Slot* slot = find(symbol.id, rightId); slot != nullptr) {
    scratch.queue_.push_back({slot->rank, left, symbol.id, rightId, slot->merged});
    std::push_heap(scratch.queue_.begin(), scratch.queue_.end(), kAfter);
  }
}

void BytePairMerges::encode(std::string_view piece,
                            Scratch& scratch,
                            std::vector<TokenId>& out) const {
  std::vector<Scratch::Symbol>& symbols = scratch.symbols_;
  const auto count = static_cast<std::int32_t>(piece.size());
  symbols.clear();
  for (std::int32_t i = 0; i < count; ++i) {
    const auto byte = static_cast<std::uint8_t>(piece[static_cast<std::size_t>(i)]);
    symbols.push_back({byteTokens_[byte], i - 1, i + 1 < count ? i + 1 : kNone});
  }
  scratch.queue_.clear();
  for (std::int32_t i = 0; i + 1 < count; ++i) {
    queue(i, scratch);
  }
  while (!scratch.queue_.empty()) {
    const Scratch::Candidate best = scratch.queue_.front();
    std::pop_heap(scratch.queue_.begin(), scratch.queue_.end(), kAfter);
    scratch.queue_.pop_back();
    Scratch::Symbol& left = symbols[static_cast<std::size_t>(best.left)];
    if (left.id != best.leftId || left.next == kNone) {
      continue;
    }
    Scratch::Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    if (right.id != best.rightId) {
      continue;
    }
    left.id = best.merged;
    left.next = right.next;
    right.id = kNone;  // no candidate names it any more
    if (left.next != kNone) {
      symbols[static_cast<std::size_t>(left.next)].previous = best.left;
    }
    queue(best.left, scratch);
    if (left.previous != kNone) {
      queue(left.previous, scratch);
    }
  }
  for (std::int32_t i = count == 0 ? kNone : 0; i != kNone;
       i = symbols[static_cast<std::size_t>(i)].next) {
    out.push_back(symbols[static_cast<std::size_t>(i)].id);
  }
}

}  // namespace tandem::tokenizer
