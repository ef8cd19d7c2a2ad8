// SPDX-License-Identifier: GPL-3.0-or-later
// The newest memory figures of every rank: each rank's own source writes, the snapshot reads.
#pragma once

#include <vector>

#include "engine/api/engine_stats.h"
#include "engine/base/thread_annotations.h"

namespace tandem::runtime {

/// Any thread.
class MemoryBoard {
 public:
  explicit MemoryBoard(int ranks)
      : ranks_(static_cast<std::size_t>(ranks)) {
    for (int rank = 0; rank < ranks; ++rank) {
      ranks_[static_cast<std::size_t>(rank)].rank = rank;
    }
  }

  /// Ranks that do not exist are ignored.
  void update(const api::RankMemory& memory) TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (memory.rank >= 0 && static_cast<std::size_t>(memory.rank) < ranks_.size()) {
      ranks_[static_cast<std::size_t>(memory.rank)] = memory;
    }
  }

  [[nodiscard]] std::vector<api::RankMemory> read() const TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return ranks_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<api::RankMemory> ranks_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::runtime
