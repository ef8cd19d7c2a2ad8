// SPDX-License-Identifier: GPL-3.0-or-later
// Adds up what the engine does and turns it into a snapshot once a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/api/draft_stats.h"
#include "engine/api/engine_stats.h"
#include "engine/api/kv_stats.h"
#include "engine/api/request_output.h"
#include "engine/base/clock.h"
#include "engine/base/thread_annotations.h"
#include "engine/runtime/recent_minute.h"

namespace tandem::runtime {

/// What one step did.
struct StepRecord {
  std::int64_t promptTokensFresh = 0;  // prompt tokens computed, again after a preemption too
  std::int64_t decodeRows = 0;         // sequences past their prompt that it advanced
  std::int64_t generatedTokens = 0;    // chosen, first ones of answers included
  api::DraftStats drafts;              // what it checked
  std::chrono::nanoseconds duration{0};
  std::chrono::nanoseconds communication{0};          // of duration
  std::optional<std::chrono::nanoseconds> workerLag;  // by which rank 1 trailed, where measured
};

/// What there is after a step, or after a request came or went.
struct LoadRecord {
  int running = 0;
  int waiting = 0;
  std::int64_t kvTokensUsed = 0;
  std::int64_t kvTokensCapacity = 0;
  api::KvBlocks kvBlocks;
  std::int64_t prefixSnapshots = 0;
  std::optional<std::uint64_t> diskBytes;      // of the prefix cache, now
  std::optional<std::uint64_t> diskHitTokens;  // from disk since process start
};

/// The engine thread records, the statistics thread takes. A record costs a fraction of a
/// microsecond and allocates nothing. Any thread.
class StatsCollector {
 public:
  explicit StatsCollector(MonotonicTime start);

  void recordStep(const StepRecord& step) TANDEM_EXCLUDES(mutex_);
  void recordLoad(const LoadRecord& load) TANDEM_EXCLUDES(mutex_);

  /// Once a request, when its first prefill step begins: of its `promptTokens` the first
  /// `cachedTokens` need no computing.
  void recordAdmission(std::int64_t cachedTokens,
                       std::int64_t promptTokens,
                       std::chrono::nanoseconds queued) TANDEM_EXCLUDES(mutex_);
  /// Once a request, with its first answer token.
  void recordFirstToken(std::chrono::nanoseconds sinceSubmit) TANDEM_EXCLUDES(mutex_);
  /// Once a step and request after the first token, however many tokens the step gave: `gap` is
  /// the time since the request's tokens before.
  void recordTokens(std::chrono::nanoseconds gap) TANDEM_EXCLUDES(mutex_);
  /// Once a request, also for one that was never admitted.
  void recordFinish(api::FinishReason reason, std::chrono::nanoseconds sinceSubmit)
      TANDEM_EXCLUDES(mutex_);
  void recordPreemption() TANDEM_EXCLUDES(mutex_);

  /// Totals since the start, and rates since the last call, which begins a new window. Without
  /// what the collector does not know: state, phase, memory guard, ranks.
  [[nodiscard]] api::EngineStats takeSnapshot(MonotonicTime now) TANDEM_EXCLUDES(mutex_);

 private:
  /// What rates are made of.
  struct Window {
    std::int64_t promptTokensFresh = 0;
    std::int64_t promptTokensCached = 0;
    std::int64_t generatedTokens = 0;
    std::int64_t steps = 0;
    std::chrono::nanoseconds duration{0};
    std::chrono::nanoseconds communication{0};
    std::int64_t lagSteps = 0;
    std::chrono::nanoseconds lag{0};
  };

  const MonotonicTime start_;
  Mutex mutex_;
  api::EngineStats totals_ TANDEM_GUARDED_BY(mutex_);
  RecentMinute firstToken_ TANDEM_GUARDED_BY(mutex_);
  RecentMinute interToken_ TANDEM_GUARDED_BY(mutex_);
  RecentMinute queue_ TANDEM_GUARDED_BY(mutex_);
  RecentMinute endToEnd_ TANDEM_GUARDED_BY(mutex_);
  MonotonicTime windowStart_ TANDEM_GUARDED_BY(mutex_);
  Window window_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::runtime
