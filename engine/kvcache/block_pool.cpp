// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/block_pool.h"

#include <cassert>
#include <cstddef>

namespace tandem::kvcache {

BlockPool::BlockPool(std::int32_t total)
    : references_(static_cast<std::size_t>(total)) {
  free_.reserve(references_.size());
  for (BlockId block = total; block-- > 0;) {
    free_.push_back(block);
  }
}

std::optional<BlockId> BlockPool::take() {
  if (free_.empty()) {
    return std::nullopt;
  }
  const BlockId block = free_.back();
  free_.pop_back();
  at(block).needed = 1;
  return block;
}

void BlockPool::share(BlockId block) {
  References& count = at(block);
  assert(count.needed + count.kept > 0);
  if (count.needed++ == 0) {
    --onlyKept_;
  }
}

void BlockPool::release(BlockId block) {
  References& count = at(block);
  assert(count.needed > 0);
  if (--count.needed > 0) {
    return;
  }
  if (count.kept > 0) {
    ++onlyKept_;
  }
  freeIfUnused(block);
}

void BlockPool::keep(BlockId block) {
  References& count = at(block);
  assert(count.needed + count.kept > 0);
  ++count.kept;
}

void BlockPool::forget(BlockId block) {
  References& count = at(block);
  assert(count.kept > 0);
  if (--count.kept == 0 && count.needed == 0) {
    --onlyKept_;
  }
  freeIfUnused(block);
}

std::int32_t BlockPool::references(BlockId block) const {
  const References& count = references_[static_cast<std::size_t>(block)];
  return count.needed + count.kept;
}

bool BlockPool::onlyKept(BlockId block) const {
  const References& count = references_[static_cast<std::size_t>(block)];
  return count.needed == 0 && count.kept > 0;
}

std::int32_t BlockPool::free() const {
  return static_cast<std::int32_t>(free_.size());
}

std::int32_t BlockPool::total() const {
  return static_cast<std::int32_t>(references_.size());
}

BlockPool::References& BlockPool::at(BlockId block) {
  assert(block >= 0 && block < total());
  return references_[static_cast<std::size_t>(block)];
}

void BlockPool::freeIfUnused(BlockId block) {
  if (references(block) == 0) {
    free_.push_back(block);
  }
}

}  // namespace tandem::kvcache
