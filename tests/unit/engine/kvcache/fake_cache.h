// SPDX-License-Identifier: GPL-3.0-or-later
// A rank's cache whose every cell says of which prefix it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_operations.h"

namespace tandem::kvcache {

/// A cell stands for what one token leaves, which depends on all tokens before it: it is a number
/// made of them. Slots forget as real ones do, and nothing is ever cleared but by reset(). What
/// goes wrong is said once, in problem().
class FakeCache {
 public:
  FakeCache(const CacheCapacity& capacity, std::int64_t maxDrafts, std::uint32_t seed);

  /// In the order of the lists; within a list in any, and it must not matter.
  void apply(const CacheOperations& operations);

  /// A slot for a sequence that begins at its first token.
  void reset(SlotId slot);

  /// Reads all that the tokens before `from` left, then writes [from, to), and something wrong for
  /// `rejected` more.
  void step(SlotId slot,
            std::span<const BlockId> blocks,
            std::span<const TokenId> tokens,
            std::int64_t from,
            std::int64_t to,
            std::int64_t rejected);

  /// The first `count` tokens are in the blocks.
  void checkBlocks(std::span<const BlockId> blocks,
                   std::span<const TokenId> tokens,
                   std::int64_t count);

  /// Whether a plan has stored it.
  [[nodiscard]] bool onDisk(const RecordId& record) const { return disk_.contains(record); }

  /// Another engine's disk.
  void takeDiskOf(FakeCache& other) { disk_ = std::move(other.disk_); }

  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  struct Row {
    std::int64_t position = -1;
    std::uint64_t cell = 0;
  };
  using Rows = std::vector<Row>;

  /// A record: a block's cells, or a snapshot's rows and position.
  struct Record {
    std::vector<std::uint64_t> cells;
    Rows rows;
    std::int64_t position = -1;
  };

  void store(const DiskPiece& piece);
  void fill(const DiskPiece& piece);
  void checkDisjoint(const CacheOperations& operations);
  void checkSlot(SlotId slot, std::span<const TokenId> tokens, std::int64_t count);
  [[nodiscard]] Row& row(SlotId slot, std::int64_t position);
  [[nodiscard]] std::uint64_t& cell(std::span<const BlockId> blocks, std::int64_t position);
  void fail(const std::string& problem);

  std::mt19937 random_;
  std::int64_t slotRows_;
  std::vector<Rows> slots_;
  std::vector<Rows> snapshots_;  // kSnapshotAlignment rows each
  std::vector<std::int64_t> snapshotPositions_;
  std::vector<std::vector<std::uint64_t>> blocks_;
  std::unordered_map<RecordId, Record, RecordIdHash> disk_;
  std::string problem_;
};

}  // namespace tandem::kvcache
