// SPDX-License-Identifier: GPL-3.0-or-later
// The compute threads of one rank: a loop split into equal parts, one a thread.
#pragma once

#include <cstdint>
#include <stop_token>
#include <thread>
#include <vector>

#include "engine/base/thread_annotations.h"

namespace tandem::kernels {

/// Owns threads - 1 threads; the caller's is the last. One caller at a time.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(part, begin, end) for parts that cover [0, count), in parallel, and returns when
  /// all are done; part is in [0, threads()) and different for each. Body must not throw. With one
  /// thread, or one part, it is a plain call.
  template <typename Body>
  void split(std::int64_t count, const Body& body) {
    if (workers_.empty() || count < 2) {
      body(std::int64_t{0}, std::int64_t{0}, count);
      return;
    }
    run(count,
        &body,
        [](const void* context, std::int64_t part, std::int64_t begin, std::int64_t end) {
          (*static_cast<const Body*>(context))(part, begin, end);
        });
  }

 private:
  using Call = void (*)(const void* context,
                        std::int64_t part,
                        std::int64_t begin,
                        std::int64_t end);

  void run(std::int64_t count, const void* context, Call call) TANDEM_EXCLUDES(mutex_);
  void work(const std::stop_token& stop, std::int64_t part, std::int64_t parts)
      TANDEM_EXCLUDES(mutex_);

  Mutex mutex_;
  Condition started_;
  Condition finished_;
  std::uint64_t generation_ TANDEM_GUARDED_BY(mutex_) = 0;
  int busy_ TANDEM_GUARDED_BY(mutex_) = 0;
  std::int64_t count_ TANDEM_GUARDED_BY(mutex_) = 0;
  const void* context_ TANDEM_GUARDED_BY(mutex_) = nullptr;
  Call call_ TANDEM_GUARDED_BY(mutex_) = nullptr;
  std::vector<std::jthread> workers_;
};

}  // namespace tandem::kernels
