// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers an engine publishes once a second; the dashboard and /metrics are made of these.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/draft_stats.h"
#include "engine/api/duration_histogram.h"
#include "engine/api/engine_state.h"
#include "engine/api/kv_stats.h"
#include "engine/api/memory_guard.h"

namespace tandem::api {

/// Memory of one rank's process and of the host it runs on. Bytes.
struct RankMemory {
  int rank = 0;
  std::uint64_t weightBytes = 0;   // resident weights of this rank
  std::uint64_t kvBytes = 0;       // KV and compressor state now allocated
  std::uint64_t processBytes = 0;  // resident set of the process, weights and KV included
  std::uint64_t hostTotalBytes = 0;
  std::uint64_t hostAvailableBytes = 0;
};

/// Durations of about the last minute, each to within 4 %.
struct RecentDurations {
  std::uint64_t count = 0;  // at least 1
  double medianSeconds = 0;
  double p95Seconds = 0;
};

/// One kind of duration.
struct DurationStats {
  DurationHistogram total;
  std::optional<RecentDurations> recent;  // nothing when there was none
};

/// How long requests wait for what.
struct LatencyStats {
  DurationStats firstToken;  // submit to first answer token
  DurationStats
      interToken;          // an answer's tokens to its next ones; one duration for what a step gave
  DurationStats queue;     // submit to first prefill step
  DurationStats endToEnd;  // submit to end, however it ended
};

/// A snapshot. Totals count from process start; rates cover the last second.
struct EngineStats {
  EngineState state = EngineState::Starting;
  std::optional<Phase> phase;  // of rank 0's start, begun last; nothing once it is Ready
  std::int64_t wallMs = 0;
  double uptimeSeconds = 0;

  int running = 0;
  int waiting = 0;
  std::uint64_t requestsFinished = 0;
  std::uint64_t requestsAtLength = 0;  // of requestsFinished, cut off by maxTokens or the context
  std::uint64_t requestsCancelled = 0;
  std::uint64_t requestsFailed = 0;
  std::uint64_t preemptions = 0;  // times a running request gave up its state to make room

  std::uint64_t promptTokens = 0;        // read, computed or from the prefix cache
  std::uint64_t cachedPromptTokens = 0;  // of promptTokens, from the prefix cache
  std::uint64_t generatedTokens = 0;
  double prefillTokensPerSecond = 0;  // prompt tokens computed
  double cachedTokensPerSecond = 0;   // prompt tokens from the prefix cache
  double decodeTokensPerSecond = 0;
  double lastTtftSeconds = 0;  // of the newest request that got a first token
  LatencyStats latency;

  std::uint64_t steps = 0;
  std::uint64_t decodeRows = 0;            // answers advanced, summed over the steps
  double stepSeconds = 0;                  // in all steps together
  double communicationSeconds = 0;         // of stepSeconds, between the ranks
  std::optional<double> meanStepSeconds;   // of the last second's steps; nothing when idle
  double communicationShare = 0;           // of step time, 0..1
  std::optional<double> workerLagSeconds;  // by which rank 1 trailed rank 0, mean of the last
                                           // second's steps; below 0 when rank 0 trailed
  DraftStats drafts;

  std::int64_t kvTokensUsed = 0;  // of running requests
  std::int64_t kvTokensCapacity = 0;
  KvBlocks kvBlocks;
  PrefixCacheStats prefixCache;

  MemoryGuardStatus memoryGuard;
  std::vector<RankMemory> ranks;  // by rank

  /// promptTokens that were computed.
  [[nodiscard]] std::uint64_t freshPromptTokens() const {
    return promptTokens - std::min(promptTokens, cachedPromptTokens);
  }
};

/// The memory for keys and values, in tokens. total = live + prefix + free.
struct KvTokens {
  std::int64_t total = 0;  // 0 while unknown
  std::int64_t live = 0;
  std::int64_t prefix = 0;
  std::int64_t free = 0;
};

/// By blocks where there is a pool of them, else by what running requests use.
[[nodiscard]] inline KvTokens kvTokens(const EngineStats& stats) {
  const KvBlocks& blocks = stats.kvBlocks;
  if (blocks.total > 0) {
    const std::int64_t size = blocks.tokensPerBlock;
    return {blocks.total * size, blocks.live * size, blocks.prefix * size, blocks.free * size};
  }
  const std::int64_t live = std::min(stats.kvTokensUsed, stats.kvTokensCapacity);
  return {stats.kvTokensCapacity, live, 0, stats.kvTokensCapacity - live};
}

}  // namespace tandem::api
