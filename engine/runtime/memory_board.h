// SPDX-License-Identifier: GPL-3.0-or-later
// The newest memory figures of every rank: each rank's own source writes, the snapshot reads.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "engine/api/engine_stats.h"
#include "engine/base/clock.h"
#include "engine/base/thread_annotations.h"

namespace tandem::runtime {

/// What a rank last said of its memory, and when that came in, by this host's clock.
struct RankFigures {
  api::RankMemory memory;
  std::optional<MonotonicTime> arrived;  // nothing before its first word
};

/// Any thread.
class MemoryBoard {
 public:
  explicit MemoryBoard(int ranks)
      : ranks_(static_cast<std::size_t>(ranks)) {
    for (int rank = 0; rank < ranks; ++rank) {
      ranks_[static_cast<std::size_t>(rank)].memory.rank = rank;
    }
  }

  /// Ranks that do not exist are ignored.
  void update(const api::RankMemory& memory, MonotonicTime now = std::chrono::steady_clock::now())
      TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (memory.rank >= 0 && static_cast<std::size_t>(memory.rank) < ranks_.size()) {
      ranks_[static_cast<std::size_t>(memory.rank)] = {memory, now};
    }
  }

  [[nodiscard]] std::vector<RankFigures> figures() const TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return ranks_;
  }

  [[nodiscard]] std::vector<api::RankMemory> read() const TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<api::RankMemory> memories;
    memories.reserve(ranks_.size());
    for (const RankFigures& rank : ranks_) {
      memories.push_back(rank.memory);
    }
    return memories;
  }

 private:
  mutable Mutex mutex_;
  std::vector<RankFigures> ranks_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::runtime
