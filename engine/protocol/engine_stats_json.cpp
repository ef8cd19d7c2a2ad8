// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/engine_stats_json.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/protocol/wall_time.h"

namespace tandem::protocol {

namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();
constexpr std::int64_t kMostInt64 = std::numeric_limits<std::int64_t>::max();
constexpr double kMostDouble = std::numeric_limits<double>::max();
constexpr std::size_t kMostBounds = 100;
// Their product fits into an int64.
constexpr int kMostTokensPerBlock = 1 << 20;
constexpr std::int64_t kMostBlocks = std::int64_t{1} << 40;

OutJson memoryJson(const api::RankMemory& memory) {
  return {{"rank", memory.rank},
          {"weight_bytes", memory.weightBytes},
          {"kv_bytes", memory.kvBytes},
          {"process_bytes", memory.processBytes},
          {"host_total_bytes", memory.hostTotalBytes},
          {"host_available_bytes", memory.hostAvailableBytes}};
}

api::RankMemory readMemory(const FieldReader& fields) {
  api::RankMemory memory;
  memory.rank = fields.smallInteger("rank", 0, kMostInt);
  memory.weightBytes = fields.count("weight_bytes");
  memory.kvBytes = fields.count("kv_bytes");
  memory.processBytes = fields.count("process_bytes");
  memory.hostTotalBytes = fields.count("host_total_bytes");
  memory.hostAvailableBytes = fields.count("host_available_bytes");
  return memory;
}

template <typename Value>
OutJson orNull(const std::optional<Value>& value) {
  return value ? OutJson(*value) : OutJson();
}

OutJson durationsJson(const api::DurationStats& stats) {
  OutJson recent;
  if (stats.recent) {
    recent = {{"count", stats.recent->count},
              {"median_seconds", finiteOrZero(stats.recent->medianSeconds)},
              {"p95_seconds", finiteOrZero(stats.recent->p95Seconds)}};
  }
  return {{"bounds", stats.total.bounds},
          {"counts", stats.total.counts},
          {"sum_seconds", finiteOrZero(stats.total.sumSeconds)},
          {"recent", recent}};
}

api::DurationStats readDurations(const FieldReader& fields) {
  api::DurationStats stats;
  stats.total.bounds = fields.numbers("bounds", kMostBounds);
  stats.total.counts = fields.counts("counts", kMostBounds + 1);
  stats.total.sumSeconds = fields.number("sum_seconds", 0, kMostDouble);
  const std::vector<double>& bounds = stats.total.bounds;
  if (std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>()) != bounds.end()) {
    fields.fail("bounds", "they do not rise");
  }
  const std::size_t wanted = bounds.empty() ? 0 : bounds.size() + 1;
  if (stats.total.counts.size() != wanted) {
    fields.fail("counts",
                fmt::format("{} counts for {} bounds; expected {}",
                            stats.total.counts.size(),
                            bounds.size(),
                            wanted));
  }
  if (fields.has("recent")) {
    const FieldReader recent = fields.object("recent");
    stats.recent = api::RecentDurations{recent.count("count"),
                                        recent.number("median_seconds", 0, kMostDouble),
                                        recent.number("p95_seconds", 0, kMostDouble)};
  }
  return stats;
}

OutJson latencyJson(const api::LatencyStats& latency) {
  return {{"first_token", durationsJson(latency.firstToken)},
          {"inter_token", durationsJson(latency.interToken)},
          {"queue", durationsJson(latency.queue)},
          {"end_to_end", durationsJson(latency.endToEnd)}};
}

api::LatencyStats readLatency(const FieldReader& fields) {
  return {readDurations(fields.object("first_token")),
          readDurations(fields.object("inter_token")),
          readDurations(fields.object("queue")),
          readDurations(fields.object("end_to_end"))};
}

api::DraftStats readDrafts(const FieldReader& fields) {
  api::DraftStats drafts;
  // Longer lists are of an engine with longer drafts: their beginning is as true.
  const std::vector<std::uint64_t> proposed = fields.counts("proposed", kMostBounds);
  const std::vector<std::uint64_t> accepted = fields.counts("accepted", kMostBounds);
  for (std::size_t i = 0; i < api::kDraftPositions; ++i) {
    drafts.proposed[i] = i < proposed.size() ? proposed[i] : 0;
    drafts.accepted[i] = i < accepted.size() ? accepted[i] : 0;
  }
  return drafts;
}

OutJson blocksJson(const api::KvBlocks& blocks) {
  return {{"tokens_per_block", blocks.tokensPerBlock},
          {"total", blocks.total},
          {"live", blocks.live},
          {"prefix", blocks.prefix},
          {"free", blocks.free}};
}

api::KvBlocks readBlocks(const FieldReader& fields) {
  api::KvBlocks blocks;
  blocks.tokensPerBlock = fields.smallInteger("tokens_per_block", 0, kMostTokensPerBlock);
  blocks.total = fields.integer("total", 0, kMostBlocks);
  blocks.live = fields.integer("live", 0, kMostBlocks);
  blocks.prefix = fields.integer("prefix", 0, kMostBlocks);
  blocks.free = fields.integer("free", 0, kMostBlocks);
  return blocks;
}

OutJson prefixCacheJson(const api::PrefixCacheStats& cache) {
  return {{"queried_tokens", cache.queriedTokens},
          {"hit_tokens", cache.hitTokens},
          {"snapshots", cache.snapshots},
          {"disk_bytes", orNull(cache.diskBytes)},
          {"disk_hit_tokens", orNull(cache.diskHitTokens)}};
}

api::PrefixCacheStats readPrefixCache(const FieldReader& fields) {
  api::PrefixCacheStats cache;
  cache.queriedTokens = fields.count("queried_tokens");
  cache.hitTokens = fields.count("hit_tokens");
  cache.snapshots = fields.integer("snapshots", 0, kMostInt64);
  if (fields.has("disk_bytes")) {
    cache.diskBytes = fields.count("disk_bytes");
  }
  if (fields.has("disk_hit_tokens")) {
    cache.diskHitTokens = fields.count("disk_hit_tokens");
  }
  return cache;
}

/// What later engines added to the snapshot: absent in one of an earlier engine.
void readLaterFields(const FieldReader& fields, api::EngineStats& stats) {
  const auto count = [&fields](const char* key, std::uint64_t& into) {
    into = fields.has(key) ? fields.count(key) : into;
  };
  const auto number = [&fields](const char* key, double& into) {
    into = fields.has(key) ? fields.number(key, 0, kMostDouble) : into;
  };
  count("requests_at_length", stats.requestsAtLength);
  count("preemptions", stats.preemptions);
  count("cached_prompt_tokens", stats.cachedPromptTokens);
  number("cached_tokens_per_second", stats.cachedTokensPerSecond);
  count("steps", stats.steps);
  count("decode_rows", stats.decodeRows);
  number("step_seconds", stats.stepSeconds);
  number("communication_seconds", stats.communicationSeconds);
  if (fields.has("mean_step_seconds")) {
    stats.meanStepSeconds = fields.number("mean_step_seconds", 0, kMostDouble);
  }
  if (fields.has("worker_lag_seconds")) {
    stats.workerLagSeconds = fields.number("worker_lag_seconds", -kMostDouble, kMostDouble);
  }
  if (fields.has("latency")) {
    stats.latency = readLatency(fields.object("latency"));
  }
  if (fields.has("drafts")) {
    stats.drafts = readDrafts(fields.object("drafts"));
  }
  if (fields.has("kv_blocks")) {
    stats.kvBlocks = readBlocks(fields.object("kv_blocks"));
  }
  if (fields.has("prefix_cache")) {
    stats.prefixCache = readPrefixCache(fields.object("prefix_cache"));
  }
  if (fields.has("memory_guard")) {
    const FieldReader guard = fields.object("memory_guard");
    stats.memoryGuard = {
        guard.named("state", &api::memoryGuardStateFromName, api::MemoryGuardState::Normal),
        guard.text("text")};
  }
}

}  // namespace

OutJson infoJson(const api::EngineInfo& info) {
  return {{"model", cutText(info.modelName, kMaxNameBytes)},
          {"context_tokens", info.contextTokens},
          {"vocab_size", info.vocabSize},
          {"ranks", info.ranks},
          {"backend", cutText(info.backend, kMaxNameBytes)},
          {"numerics", cutText(info.numerics, kMaxNameBytes)},
          {"fingerprint", cutText(info.fingerprint, kMaxNameBytes)}};
}

api::EngineInfo readInfo(const FieldReader& fields) {
  api::EngineInfo info;
  info.modelName = fields.text("model");
  info.contextTokens = fields.integer("context_tokens", 0, kMostInt64);
  info.vocabSize = fields.integer("vocab_size", 0, kMostInt64);
  info.ranks = fields.smallInteger("ranks", 0, kMostInt);
  info.backend = fields.text("backend");
  info.numerics = fields.text("numerics");
  info.fingerprint = fields.text("fingerprint");
  return info;
}

void addStats(OutJson& json, const api::EngineStats& stats) {
  json["state"] = api::engineStateName(stats.state);
  json["phase"] = stats.phase ? OutJson(api::phaseName(*stats.phase)) : OutJson();
  json["t"] = wallTimeText(stats.wallMs);
  json["uptime_seconds"] = finiteOrZero(stats.uptimeSeconds);
  json["running"] = stats.running;
  json["waiting"] = stats.waiting;
  json["requests_finished"] = stats.requestsFinished;
  json["requests_cancelled"] = stats.requestsCancelled;
  json["requests_failed"] = stats.requestsFailed;
  json["prompt_tokens"] = stats.promptTokens;
  json["generated_tokens"] = stats.generatedTokens;
  json["prefill_tokens_per_second"] = finiteOrZero(stats.prefillTokensPerSecond);
  json["decode_tokens_per_second"] = finiteOrZero(stats.decodeTokensPerSecond);
  json["last_ttft_seconds"] = finiteOrZero(stats.lastTtftSeconds);
  json["communication_share"] = finiteOrZero(stats.communicationShare);
  json["kv_tokens_used"] = stats.kvTokensUsed;
  json["kv_tokens_capacity"] = stats.kvTokensCapacity;
  json["requests_at_length"] = stats.requestsAtLength;
  json["preemptions"] = stats.preemptions;
  json["cached_prompt_tokens"] = stats.cachedPromptTokens;
  json["cached_tokens_per_second"] = finiteOrZero(stats.cachedTokensPerSecond);
  json["steps"] = stats.steps;
  json["decode_rows"] = stats.decodeRows;
  json["step_seconds"] = finiteOrZero(stats.stepSeconds);
  json["communication_seconds"] = finiteOrZero(stats.communicationSeconds);
  json["mean_step_seconds"] = orNull(stats.meanStepSeconds);
  json["worker_lag_seconds"] = orNull(stats.workerLagSeconds);
  json["latency"] = latencyJson(stats.latency);
  json["drafts"] = {{"proposed", stats.drafts.proposed}, {"accepted", stats.drafts.accepted}};
  json["kv_blocks"] = blocksJson(stats.kvBlocks);
  json["prefix_cache"] = prefixCacheJson(stats.prefixCache);
  json["memory_guard"] = {{"state", api::memoryGuardStateName(stats.memoryGuard.state)},
                          {"text", cutText(stats.memoryGuard.sentence)}};
  OutJson& ranks = json["ranks"] = OutJson::array();
  for (const api::RankMemory& memory : stats.ranks) {
    ranks.push_back(memoryJson(memory));
  }
}

api::EngineStats readStats(const FieldReader& fields) {
  api::EngineStats stats;
  stats.state = fields.named("state", &api::engineStateFromName, api::EngineState::Starting);
  if (fields.has("phase")) {
    stats.phase = fields.named("phase", &api::phaseFromName, api::Phase::Connect);
  }
  stats.wallMs = fields.wallTime("t");
  stats.uptimeSeconds = fields.number("uptime_seconds", 0, kMostDouble);
  stats.running = fields.smallInteger("running", 0, kMostInt);
  stats.waiting = fields.smallInteger("waiting", 0, kMostInt);
  stats.requestsFinished = fields.count("requests_finished");
  stats.requestsCancelled = fields.count("requests_cancelled");
  stats.requestsFailed = fields.count("requests_failed");
  stats.promptTokens = fields.count("prompt_tokens");
  stats.generatedTokens = fields.count("generated_tokens");
  stats.prefillTokensPerSecond = fields.number("prefill_tokens_per_second", 0, kMostDouble);
  stats.decodeTokensPerSecond = fields.number("decode_tokens_per_second", 0, kMostDouble);
  stats.lastTtftSeconds = fields.number("last_ttft_seconds", 0, kMostDouble);
  stats.communicationShare = fields.number("communication_share", 0, kMostDouble);
  stats.kvTokensUsed = fields.integer("kv_tokens_used", 0, kMostInt64);
  stats.kvTokensCapacity = fields.integer("kv_tokens_capacity", 0, kMostInt64);
  for (const FieldReader& rank : fields.objects("ranks")) {
    stats.ranks.push_back(readMemory(rank));
  }
  readLaterFields(fields, stats);
  return stats;
}

}  // namespace tandem::protocol
