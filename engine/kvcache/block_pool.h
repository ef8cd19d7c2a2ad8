// SPDX-License-Identifier: GPL-3.0-or-later
// Which cache blocks are in use, and by how many.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/kvcache/cache_ids.h"

namespace tandem::kvcache {

/// Counts references; knows no memory. Rank 0, engine thread.
class BlockPool {
 public:
  explicit BlockPool(std::int32_t total);

  /// A free block with one reference; nothing when all are in use.
  [[nodiscard]] std::optional<BlockId> take();

  /// One more, one fewer reference to a block in use; without any it is free.
  void share(BlockId block);
  void release(BlockId block);

  [[nodiscard]] std::int32_t references(BlockId block) const;
  [[nodiscard]] std::int32_t free() const;
  [[nodiscard]] std::int32_t total() const;

 private:
  std::vector<std::int32_t> references_;
  std::vector<BlockId> free_;
};

}  // namespace tandem::kvcache
