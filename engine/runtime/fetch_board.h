// SPDX-License-Identifier: GPL-3.0-or-later
// Where both ranks say what became of a fetch from their disks, until the engine thread reads it.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "engine/base/thread_annotations.h"
#include "engine/kvcache/disk_replica.h"

namespace tandem::runtime {

struct RankFetch {
  int rank = 0;
  kvcache::FetchOutcome outcome;
};

/// Any thread.
class FetchBoard {
 public:
  void post(int rank, kvcache::FetchOutcome outcome) TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    posts_.push_back({rank, std::move(outcome)});
    if (onPost_) {
      onPost_();
    }
  }

  [[nodiscard]] std::vector<RankFetch> take() TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return std::exchange(posts_, {});
  }

  /// Called with each post, on its thread; it must not call back. Once this returned with another,
  /// the one before is not called any more.
  void watch(std::function<void()> onPost) TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    onPost_ = std::move(onPost);
  }

 private:
  Mutex mutex_;
  std::vector<RankFetch> posts_ TANDEM_GUARDED_BY(mutex_);
  std::function<void()> onPost_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::runtime
