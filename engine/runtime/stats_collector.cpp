// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/stats_collector.h"

#include <array>

namespace tandem::runtime {

namespace {

// vLLM's bounds, so that dashboards and recorded rules made for it fit.
constexpr std::array kFirstTokenBounds{0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                                       0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                                       20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
constexpr std::array kInterTokenBounds{0.01,
                                       0.025,
                                       0.05,
                                       0.075,
                                       0.1,
                                       0.15,
                                       0.2,
                                       0.3,
                                       0.4,
                                       0.5,
                                       0.75,
                                       1.0,
                                       2.5,
                                       5.0,
                                       7.5,
                                       10.0,
                                       20.0,
                                       40.0,
                                       80.0};
constexpr std::array kRequestBounds{0.3,  0.5,   0.8,   1.0,   1.5,   2.0,    2.5,
                                    5.0,  10.0,  15.0,  20.0,  30.0,  40.0,   50.0,
                                    60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

void add(std::chrono::nanoseconds duration, api::DurationHistogram& total, RecentMinute& recent) {
  total.add(seconds(duration));
  recent.add(duration);
}

void takeSummary(api::DurationStats& stats, RecentMinute& recent, MonotonicTime now) {
  recent.advance(now);
  stats.recent = recent.summary();
}

}  // namespace

StatsCollector::StatsCollector(MonotonicTime start)
    : start_(start),
      firstToken_(start),
      interToken_(start),
      queue_(start),
      endToEnd_(start),
      windowStart_(start) {
  api::LatencyStats& latency = totals_.latency;
  latency.firstToken.total = api::DurationHistogram::withBounds(kFirstTokenBounds);
  latency.interToken.total = api::DurationHistogram::withBounds(kInterTokenBounds);
  latency.queue.total = api::DurationHistogram::withBounds(kRequestBounds);
  latency.endToEnd.total = api::DurationHistogram::withBounds(kRequestBounds);
}

void StatsCollector::recordStep(const StepRecord& step) {
  const MutexLock lock(mutex_);
  totals_.promptTokens += static_cast<std::uint64_t>(step.promptTokensFresh);
  totals_.generatedTokens += static_cast<std::uint64_t>(step.generatedTokens);
  totals_.decodeRows += static_cast<std::uint64_t>(step.decodeRows);
  ++totals_.steps;
  totals_.stepSeconds += seconds(step.duration);
  totals_.communicationSeconds += seconds(step.communication);
  totals_.drafts += step.drafts;
  window_.promptTokensFresh += step.promptTokensFresh;
  window_.generatedTokens += step.generatedTokens;
  ++window_.steps;
  window_.duration += step.duration;
  window_.communication += step.communication;
  if (step.workerLag) {
    ++window_.lagSteps;
    window_.lag += *step.workerLag;
  }
}

void StatsCollector::recordLoad(const LoadRecord& load) {
  const MutexLock lock(mutex_);
  totals_.running = load.running;
  totals_.waiting = load.waiting;
  totals_.kvTokensUsed = load.kvTokensUsed;
  totals_.kvTokensCapacity = load.kvTokensCapacity;
  totals_.kvBlocks = load.kvBlocks;
  totals_.prefixCache.snapshots = load.prefixSnapshots;
  totals_.prefixCache.diskBytes = load.diskBytes;
  totals_.prefixCache.diskHitTokens = load.diskHitTokens;
}

void StatsCollector::recordAdmission(std::int64_t cachedTokens,
                                     std::int64_t promptTokens,
                                     std::chrono::nanoseconds queued) {
  const MutexLock lock(mutex_);
  totals_.promptTokens += static_cast<std::uint64_t>(cachedTokens);
  totals_.cachedPromptTokens += static_cast<std::uint64_t>(cachedTokens);
  totals_.prefixCache.queriedTokens += static_cast<std::uint64_t>(promptTokens);
  totals_.prefixCache.hitTokens += static_cast<std::uint64_t>(cachedTokens);
  window_.promptTokensCached += cachedTokens;
  add(queued, totals_.latency.queue.total, queue_);
}

void StatsCollector::recordFirstToken(std::chrono::nanoseconds sinceSubmit) {
  const MutexLock lock(mutex_);
  totals_.lastTtftSeconds = seconds(sinceSubmit);
  add(sinceSubmit, totals_.latency.firstToken.total, firstToken_);
}

void StatsCollector::recordTokens(std::chrono::nanoseconds gap) {
  const MutexLock lock(mutex_);
  add(gap, totals_.latency.interToken.total, interToken_);
}

void StatsCollector::recordFinish(api::FinishReason reason, std::chrono::nanoseconds sinceSubmit) {
  const MutexLock lock(mutex_);
  add(sinceSubmit, totals_.latency.endToEnd.total, endToEnd_);
  switch (reason) {
    case api::FinishReason::Length:
      ++totals_.requestsAtLength;
      [[fallthrough]];
    case api::FinishReason::Stop:
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

void StatsCollector::recordPreemption() {
  const MutexLock lock(mutex_);
  ++totals_.preemptions;
}

api::EngineStats StatsCollector::takeSnapshot(MonotonicTime now) {
  const MutexLock lock(mutex_);
  takeSummary(totals_.latency.firstToken, firstToken_, now);
  takeSummary(totals_.latency.interToken, interToken_, now);
  takeSummary(totals_.latency.queue, queue_, now);
  takeSummary(totals_.latency.endToEnd, endToEnd_, now);
  api::EngineStats snapshot = totals_;
  snapshot.wallMs = wallMilliseconds();
  snapshot.uptimeSeconds = seconds(now - start_);
  const double elapsed = seconds(now - windowStart_);
  if (elapsed > 0) {
    snapshot.prefillTokensPerSecond = static_cast<double>(window_.promptTokensFresh) / elapsed;
    snapshot.cachedTokensPerSecond = static_cast<double>(window_.promptTokensCached) / elapsed;
    snapshot.decodeTokensPerSecond = static_cast<double>(window_.generatedTokens) / elapsed;
  }
  if (window_.duration.count() > 0) {
    snapshot.communicationShare = seconds(window_.communication) / seconds(window_.duration);
  }
  if (window_.steps > 0) {
    snapshot.meanStepSeconds = seconds(window_.duration) / static_cast<double>(window_.steps);
  }
  if (window_.lagSteps > 0) {
    snapshot.workerLagSeconds = seconds(window_.lag) / static_cast<double>(window_.lagSteps);
  }
  windowStart_ = now;
  window_ = Window{};
  return snapshot;
}

}  // namespace tandem::runtime
