// SPDX-License-Identifier: GPL-3.0-or-later
// Which cache blocks are in use, and by how many.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/kvcache/cache_ids.h"

namespace tandem::kvcache {

/// Counts references; knows no memory. Two kinds: of those who need the block, and of prefixes,
/// who keep it as long as nobody else needs room. Without any the block is free. Rank 0, engine
/// thread.
class BlockPool {
 public:
  explicit BlockPool(std::int32_t total);

  /// A free block with one reference; nothing when all are in use.
  [[nodiscard]] std::optional<BlockId> take();

  /// One more, one fewer reference to a block in use.
  void share(BlockId block);
  void release(BlockId block);

  /// The same for a prefix.
  void keep(BlockId block);
  void forget(BlockId block);

  /// Of both kinds.
  [[nodiscard]] std::int32_t references(BlockId block) const;
  /// Used, and by prefixes alone.
  [[nodiscard]] bool onlyKept(BlockId block) const;

  [[nodiscard]] std::int32_t free() const;
  [[nodiscard]] std::span<const BlockId> freeBlocks() const { return free_; }
  [[nodiscard]] std::int32_t onlyKept() const { return onlyKept_; }
  [[nodiscard]] std::int32_t total() const;

 private:
  struct References {
    std::int32_t needed = 0;
    std::int32_t kept = 0;
  };

  [[nodiscard]] References& at(BlockId block);
  void freeIfUnused(BlockId block);

  std::vector<References> references_;
  std::vector<BlockId> free_;  // the next one last
  std::int32_t onlyKept_ = 0;
};

}  // namespace tandem::kvcache
