// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/rank_buckets.h"

#include <algorithm>
#include <bit>
#include <iterator>

namespace tandem::tokenizer {

namespace {

constexpr std::uint32_t kBits = 64;

}  // namespace

void RankBuckets::prepare(std::size_t ranks) {
  if (newest_.size() < ranks) {
    newest_.resize(ranks);
    filled_.resize((ranks + kBits - 1) / kBits);
  }
}

void RankBuckets::add(std::uint32_t rank, std::int32_t position) {
  std::uint64_t& word = filled_[rank / kBits];
  const std::uint64_t bit = std::uint64_t{1} << (rank % kBits);
  std::int32_t block = (word & bit) != 0 ? newest_[rank] : kEnd;
  if (block == kEnd || blocks_[static_cast<std::size_t>(block)].count == kBlockPositions) {
    blocks_.push_back({block, 0, {}});
    block = static_cast<std::int32_t>(blocks_.size()) - 1;
    newest_[rank] = block;
    word |= bit;
    lowest_ = std::min<std::size_t>(lowest_, rank / kBits);
  }
  Block& open = blocks_[static_cast<std::size_t>(block)];
  open.positions[static_cast<std::size_t>(open.count++)] = position;
}

bool RankBuckets::takeLowest(std::uint32_t& rank, std::vector<std::int32_t>& positions) {
  while (lowest_ < filled_.size() && filled_[lowest_] == 0) {
    ++lowest_;
  }
  if (lowest_ == filled_.size()) {
    blocks_.clear();
    return false;
  }
  std::uint64_t& word = filled_[lowest_];
  rank = static_cast<std::uint32_t>(lowest_) * kBits +
         static_cast<std::uint32_t>(std::countr_zero(word));
  word &= word - 1;
  positions.clear();
  for (std::int32_t block = newest_[rank]; block != kEnd;) {
    const Block& full = blocks_[static_cast<std::size_t>(block)];
    positions.insert(positions.end(),
                     std::reverse_iterator(full.positions.begin() + full.count),
                     full.positions.rend());
    block = full.next;
  }
  // Positions are added from left to right nearly always, so they come out reversed.
  std::reverse(positions.begin(), positions.end());
  if (!std::is_sorted(positions.begin(), positions.end())) {
    std::sort(positions.begin(), positions.end());
  }
  return true;
}

}  // namespace tandem::tokenizer
