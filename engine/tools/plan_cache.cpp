// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/plan_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>

#include "engine/kvcache/cache_layout.h"
#include "engine/runtime/cache_budget.h"
#include "engine/runtime/memory_guard.h"
#include "engine/runtime/memory_probe.h"
#include "engine/tools/load_model.h"

namespace tandem::tools {

namespace {

constexpr double kGib = static_cast<double>(std::uint64_t{1} << 30U);

Result<std::uint64_t> budgetOf(const api::EngineConfig& config,
                               const runtime::MemoryBoard& board,
                               int ranksHere) {
  if (config.kvGib > 0) {
    return static_cast<std::uint64_t>(config.kvGib * kGib);
  }
  api::RankMemory own;
  runtime::readMemory(own);
  if (own.hostAvailableBytes == 0) {
    return Error{ErrorCode::Unavailable,
                 "this host's free memory is unknown (/proc/meminfo cannot be read)",
                 "Say how much the KV cache may take with --kv-gib."};
  }
  // The guard must have no reason to step in just because the cache is full.
  const auto budgetFor = [&config](const api::RankMemory& host, int ranks) {
    const std::uint64_t kept =
        runtime::MemoryGuard::thresholdsOf(config.memoryGuard, host.hostTotalBytes).release;
    return runtime::cacheBudget({host.hostAvailableBytes, kept, ranks}, config.memoryUtilization);
  };
  std::uint64_t budget = budgetFor(own, ranksHere);
  for (const api::RankMemory& rank : board.read()) {
    const bool elsewhere = rank.rank != 0 && ranksHere == 1 && rank.hostAvailableBytes > 0;
    if (elsewhere) {
      budget = std::min(budget, budgetFor(rank, 1));
    }
  }
  return budget;
}

}  // namespace

Result<CachePlan> planCache(const api::EngineConfig& config,
                            const model::LanguageModel& model,
                            const runtime::MemoryBoard& board,
                            int ranksHere) {
  CachePlan plan;
  plan.settings.mtp = config.speculative && model.hasMtp();
  plan.settings.maxDrafts = plan.settings.mtp ? config.maxDrafts : 0;
  const kvcache::CacheLayout layout(model.cacheShape(plan.settings));
  const Result<std::uint64_t> budget = budgetOf(config, board, ranksHere);
  if (!budget) {
    return budget.error();
  }
  const Result<kvcache::CacheCapacity> capacity =
      runtime::planCapacity(*budget,
                            layout,
                            {config.maxSequences, config.contextTokens, config.prefixCache});
  if (!capacity) {
    return capacity.error();
  }
  plan.settings.capacity = *capacity;
  plan.description = runtime::describeCapacity(*capacity, layout, config.contextTokens);
  return plan;
}

std::optional<runtime::DiskCacheOptions> diskCacheOptions(const api::EngineConfig& config,
                                                          const std::string& fingerprint,
                                                          const std::string& backend) {
  if (config.cacheFolder.empty() || !config.prefixCache) {
    return std::nullopt;
  }
  runtime::DiskCacheOptions options;
  options.folder = config.cacheFolder / fmt::format("rank-{}", config.rank);
  options.limitBytes = static_cast<std::uint64_t>(config.cacheDiskGib * kGib);
  // Each rank's sums depend on its part of the weights.
  options.model =
      fmt::format("{} {} rank {} of {}", fingerprint, backend, config.rank, config.ranks);
  options.numerics = kernelNumerics(config.numerics);
  return options;
}

runtime::SchedulerLimits schedulerLimits(const api::EngineConfig& config) {
  runtime::SchedulerLimits limits;
  limits.maxRunning = config.maxSequences;
  limits.maxQueued = config.maxQueuedRequests;
  limits.prefillChunkTokens = config.prefillChunkTokens;
  limits.maxDrafts = config.speculative ? config.maxDrafts : 0;
  limits.alwaysDraft = config.alwaysDraft;
  limits.longestStall = std::chrono::milliseconds(config.longestStallMs);
  return limits;
}

}  // namespace tandem::tools
