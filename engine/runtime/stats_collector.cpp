// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/stats_collector.h"

namespace tandem::runtime {

namespace {

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void StatsCollector::recordStep(const StepRecord& step) {
  const MutexLock lock(mutex_);
  totals_.promptTokens += static_cast<std::uint64_t>(step.promptTokens);
  totals_.generatedTokens += static_cast<std::uint64_t>(step.generatedTokens);
  window_.promptTokens += step.promptTokens;
  window_.generatedTokens += step.generatedTokens;
  window_.duration += step.duration;
  window_.communication += step.communication;
}

void StatsCollector::recordLoad(const LoadRecord& load) {
  const MutexLock lock(mutex_);
  totals_.running = load.running;
  totals_.waiting = load.waiting;
  totals_.kvTokensUsed = load.kvTokensUsed;
  totals_.kvTokensCapacity = load.kvTokensCapacity;
}

void StatsCollector::recordFirstToken(std::chrono::nanoseconds sinceSubmit) {
  const MutexLock lock(mutex_);
  totals_.lastTtftSeconds = seconds(sinceSubmit);
}

void StatsCollector::recordFinish(api::FinishReason reason) {
  const MutexLock lock(mutex_);
  switch (reason) {
    case api::FinishReason::Stop:
    case api::FinishReason::Length:
      ++totals_.requestsFinished;
      return;
    case api::FinishReason::Cancelled:
      ++totals_.requestsCancelled;
      return;
    case api::FinishReason::Failed:
      ++totals_.requestsFailed;
      return;
  }
}

api::EngineStats StatsCollector::takeSnapshot(MonotonicTime now) {
  const MutexLock lock(mutex_);
  api::EngineStats snapshot = totals_;
  snapshot.wallMs = wallMilliseconds();
  snapshot.uptimeSeconds = seconds(now - start_);
  const double elapsed = seconds(now - windowStart_);
  if (elapsed > 0) {
    snapshot.prefillTokensPerSecond = static_cast<double>(window_.promptTokens) / elapsed;
    snapshot.decodeTokensPerSecond = static_cast<double>(window_.generatedTokens) / elapsed;
  }
  if (window_.duration.count() > 0) {
    snapshot.communicationShare = seconds(window_.communication) / seconds(window_.duration);
  }
  windowStart_ = now;
  window_ = StepRecord{};
  return snapshot;
}

}  // namespace tandem::runtime
