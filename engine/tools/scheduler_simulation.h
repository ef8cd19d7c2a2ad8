// SPDX-License-Identifier: GPL-3.0-or-later
// Replays arrivals against the real scheduler and cache in virtual time, with a model of the
// machine in place of the machine.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/result.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/runtime/scheduler.h"
#include "engine/tools/arrival_trace.h"
#include "engine/tools/two_spark_cost.h"

namespace tandem::tools {

struct SimulationOptions {
  runtime::SchedulerLimits limits;
  kvcache::CacheCapacity capacity;
  TwoSparkCost cost;
  double noise = 0.02;  // steps of one shape differ by so much, either way
  std::uint64_t seed = 1;
};

/// One request that got its answer. Seconds.
struct SimulatedRequest {
  int session = 0;
  std::int64_t promptTokens = 0;
  std::int64_t cachedTokens = 0;  // of those, found when it started first
  std::int64_t answerTokens = 0;
  double arrived = 0;
  double started = 0;
  double firstToken = 0;
  double ended = 0;
  double longestGap = 0;  // between two deliveries of its answer
};

struct SimulationResult {
  std::vector<SimulatedRequest> requests;
  std::vector<double> gaps;        // between deliveries of one answer, all answers
  std::vector<double> tokenTimes;  // the same, one for each token: a gap through its tokens
  double worstStall = 0;           // the longest gap while some prompt was being read
  double mixedSeconds = 0;         // of steps that gave answers tokens while a prompt was read
  double mixedTokens = 0;          // that the average answer got in them
  double seconds = 0;              // until the last answer ended
  std::int64_t steps = 0;
  std::int64_t preemptions = 0;
  std::int64_t refused = 0;  // the queue was full
  kvcache::KvUsage cache;
};

/// Fails with OutOfRange for a request that the whole cache cannot hold, with Internal when the
/// scheduler leaves work undone.
Result<SimulationResult> simulate(const std::vector<TraceTurn>& trace,
                                  const SimulationOptions& options);

}  // namespace tandem::tools
