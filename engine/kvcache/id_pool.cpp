// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/id_pool.h"

#include <cassert>
#include <cstddef>

namespace tandem::kvcache {

IdPool::IdPool(std::int32_t total)
    : total_(total) {
  free_.reserve(static_cast<std::size_t>(total));
  for (std::int32_t id = total; id-- > 0;) {
    free_.push_back(id);
  }
}

std::optional<std::int32_t> IdPool::take() {
  if (free_.empty()) {
    return std::nullopt;
  }
  const std::int32_t id = free_.back();
  free_.pop_back();
  return id;
}

void IdPool::give(std::int32_t id) {
  assert(id >= 0 && id < total_ && free() < total_);
  free_.push_back(id);
}

}  // namespace tandem::kvcache
