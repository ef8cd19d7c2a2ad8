// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/engine_stats_json.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "engine/protocol/wall_time.h"

namespace tandem::protocol {

namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();
constexpr std::int64_t kMostInt64 = std::numeric_limits<std::int64_t>::max();
constexpr double kMostDouble = std::numeric_limits<double>::max();

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
  return stats;
}

}  // namespace tandem::protocol
