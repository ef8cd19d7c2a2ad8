// SPDX-License-Identifier: GPL-3.0-or-later
// Positions of a long piece, waiting in the order of the merges that apply to them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tandem::tokenizer {

/// One bucket a rank, so that adding is O(1) and a whole rank comes out at once: a heap of a
/// million positions would miss the cache at every step. One thread.
class RankBuckets {
 public:
  /// Makes room for ranks below `ranks`. Nothing to do if there is.
  void prepare(std::size_t ranks);

  void add(std::uint32_t rank, std::int32_t position);

  /// Empties the bucket of the lowest rank into `positions`, in ascending order.
  /// False when all buckets are empty.
  bool takeLowest(std::uint32_t& rank, std::vector<std::int32_t>& positions);

 private:
  static constexpr std::int32_t kBlockPositions = 14;
  /// A cache line of positions that share a rank; full ones lead to older ones.
  struct Block {
    std::int32_t next;  // or kEnd
    std::int32_t count;
    std::array<std::int32_t, kBlockPositions> positions;
  };
  static constexpr std::int32_t kEnd = -1;

  std::vector<std::uint64_t> filled_;  // one bit a rank: its bucket holds something
  std::vector<std::int32_t> newest_;   // block, by rank; means something only where the bit is set
  std::vector<Block> blocks_;
  std::size_t lowest_ = 0;  // every word of filled_ before this one is 0
};

}  // namespace tandem::tokenizer
