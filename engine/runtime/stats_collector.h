// SPDX-License-Identifier: GPL-3.0-or-later
// Adds up what the engine does and turns it into a snapshot once a second.
#pragma once

#include <chrono>
#include <cstdint>

#include "engine/api/engine_stats.h"
#include "engine/api/request_output.h"
#include "engine/base/clock.h"
#include "engine/base/thread_annotations.h"

namespace tandem::runtime {

/// What one step did.
struct StepRecord {
  std::int64_t promptTokens = 0;
  std::int64_t generatedTokens = 0;
  std::chrono::nanoseconds duration{0};
  std::chrono::nanoseconds communication{0};  // of duration
};

/// What there is after a step, or after a request came or went.
struct LoadRecord {
  int running = 0;
  int waiting = 0;
  std::int64_t kvTokensUsed = 0;
  std::int64_t kvTokensCapacity = 0;
};

/// The engine thread records, the statistics thread takes. Any thread.
class StatsCollector {
 public:
  explicit StatsCollector(MonotonicTime start)
      : start_(start),
        windowStart_(start) {}

  void recordStep(const StepRecord& step) TANDEM_EXCLUDES(mutex_);
  void recordLoad(const LoadRecord& load) TANDEM_EXCLUDES(mutex_);
  void recordFirstToken(std::chrono::nanoseconds sinceSubmit) TANDEM_EXCLUDES(mutex_);
  void recordFinish(api::FinishReason reason) TANDEM_EXCLUDES(mutex_);

  /// Totals since the start, and rates since the last call, which begins a new window.
  [[nodiscard]] api::EngineStats takeSnapshot(MonotonicTime now) TANDEM_EXCLUDES(mutex_);

 private:
  const MonotonicTime start_;
  Mutex mutex_;
  api::EngineStats totals_ TANDEM_GUARDED_BY(mutex_);
  MonotonicTime windowStart_ TANDEM_GUARDED_BY(mutex_);
  StepRecord window_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::runtime
