// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command_json.h"

#include <cstddef>
#include <optional>
#include <string_view>

#include <QJsonArray>

namespace tandem::cli {

namespace {

QString text(std::string_view value) {
  return QString::fromUtf8(value.data(), static_cast<qsizetype>(value.size()));
}

qint64 number(std::uint64_t value) {
  return static_cast<qint64>(value);
}

QString kindName(api::PhaseEventKind kind) {
  switch (kind) {
    case api::PhaseEventKind::Begin:
      return QStringLiteral("begin");
    case api::PhaseEventKind::Progress:
      return QStringLiteral("progress");
    case api::PhaseEventKind::End:
      return QStringLiteral("end");
    case api::PhaseEventKind::Failed:
      return QStringLiteral("failed");
    case api::PhaseEventKind::Skipped:
      return QStringLiteral("skipped");
  }
  return {};
}

QJsonObject memoryJson(const api::RankMemory& memory) {
  return {{QStringLiteral("rank"), memory.rank},
          {QStringLiteral("weight_bytes"), number(memory.weightBytes)},
          {QStringLiteral("kv_bytes"), number(memory.kvBytes)},
          {QStringLiteral("process_bytes"), number(memory.processBytes)},
          {QStringLiteral("host_total_bytes"), number(memory.hostTotalBytes)},
          {QStringLiteral("host_available_bytes"), number(memory.hostAvailableBytes)}};
}

template <typename Number>
QJsonValue orNull(const std::optional<Number>& value) {
  return value ? QJsonValue(*value) : QJsonValue(QJsonValue::Null);
}

QJsonValue recentJson(const api::DurationStats& stats) {
  if (!stats.recent) {
    return QJsonValue::Null;
  }
  return QJsonObject{{QStringLiteral("count"), number(stats.recent->count)},
                     {QStringLiteral("median_seconds"), stats.recent->medianSeconds},
                     {QStringLiteral("p95_seconds"), stats.recent->p95Seconds}};
}

QJsonObject latencyJson(const api::LatencyStats& latency) {
  return {{QStringLiteral("first_token"), recentJson(latency.firstToken)},
          {QStringLiteral("inter_token"), recentJson(latency.interToken)},
          {QStringLiteral("queue"), recentJson(latency.queue)},
          {QStringLiteral("end_to_end"), recentJson(latency.endToEnd)}};
}

QJsonObject draftsJson(const api::DraftStats& drafts) {
  QJsonArray proposed;
  QJsonArray accepted;
  for (std::size_t i = 0; i < api::kDraftPositions; ++i) {
    proposed.append(number(drafts.proposed.at(i)));
    accepted.append(number(drafts.accepted.at(i)));
  }
  return {{QStringLiteral("proposed"), proposed},
          {QStringLiteral("accepted"), accepted},
          {QStringLiteral("mean_length"), orNull(drafts.meanLength())}};
}

QJsonObject kvJson(const api::EngineStats& stats) {
  const api::KvTokens tokens = api::kvTokens(stats);
  const api::PrefixCacheStats& cache = stats.prefixCache;
  return {{QStringLiteral("total_tokens"), qint64{tokens.total}},
          {QStringLiteral("live_tokens"), qint64{tokens.live}},
          {QStringLiteral("prefix_tokens"), qint64{tokens.prefix}},
          {QStringLiteral("free_tokens"), qint64{tokens.free}},
          {QStringLiteral("prefix_queried_tokens"), number(cache.queriedTokens)},
          {QStringLiteral("prefix_hit_tokens"), number(cache.hitTokens)},
          {QStringLiteral("preemptions"), number(stats.preemptions)}};
}

QJsonObject statsJson(const api::EngineStats& stats) {
  QJsonArray ranks;
  for (const api::RankMemory& memory : stats.ranks) {
    ranks.append(memoryJson(memory));
  }
  QJsonObject object{{QStringLiteral("uptime_seconds"), stats.uptimeSeconds},
                     {QStringLiteral("requests_running"), stats.running},
                     {QStringLiteral("requests_waiting"), stats.waiting},
                     {QStringLiteral("requests_finished"), number(stats.requestsFinished)},
                     {QStringLiteral("requests_cancelled"), number(stats.requestsCancelled)},
                     {QStringLiteral("requests_failed"), number(stats.requestsFailed)},
                     {QStringLiteral("prompt_tokens"), number(stats.promptTokens)},
                     {QStringLiteral("generated_tokens"), number(stats.generatedTokens)},
                     {QStringLiteral("prefill_tokens_per_second"), stats.prefillTokensPerSecond},
                     {QStringLiteral("decode_tokens_per_second"), stats.decodeTokensPerSecond},
                     {QStringLiteral("cached_prompt_tokens"), number(stats.cachedPromptTokens)},
                     {QStringLiteral("cached_tokens_per_second"), stats.cachedTokensPerSecond},
                     {QStringLiteral("steps"), number(stats.steps)},
                     {QStringLiteral("mean_step_seconds"), orNull(stats.meanStepSeconds)},
                     {QStringLiteral("communication_share"), stats.communicationShare},
                     {QStringLiteral("worker_lag_seconds"), orNull(stats.workerLagSeconds)},
                     {QStringLiteral("latency"), latencyJson(stats.latency)},
                     {QStringLiteral("drafts"), draftsJson(stats.drafts)},
                     {QStringLiteral("kv"), kvJson(stats)},
                     {QStringLiteral("memory_guard"),
                      QJsonObject{{QStringLiteral("state"),
                                   text(api::memoryGuardStateName(stats.memoryGuard.state))},
                                  {QStringLiteral("text"), text(stats.memoryGuard.sentence)}}},
                     {QStringLiteral("ranks"), ranks}};
  if (stats.phase) {
    object[QStringLiteral("phase")] = text(api::phaseName(*stats.phase));
  }
  return object;
}

}  // namespace

QJsonObject eventJson(const QString& name, std::int64_t pid) {
  return {{QStringLiteral("event"), name}, {QStringLiteral("pid"), qint64{pid}}};
}

QJsonObject phaseJson(const api::PhaseEvent& event, std::optional<double> seconds) {
  QJsonObject object{{QStringLiteral("event"), QStringLiteral("phase")},
                     {QStringLiteral("phase"), text(api::phaseName(event.phase))},
                     {QStringLiteral("rank"), event.rank},
                     {QStringLiteral("state"), kindName(event.kind)},
                     {QStringLiteral("t_ms"), qint64{event.wallMs}},
                     {QStringLiteral("bytes_done"), number(event.bytesDone)},
                     {QStringLiteral("bytes_total"), number(event.bytesTotal)},
                     {QStringLiteral("detail"), text(event.detail)}};
  if (seconds) {
    object[QStringLiteral("seconds")] = *seconds;
  }
  return object;
}

QJsonObject errorJson(const Error& error) {
  return {{QStringLiteral("code"), text(errorCodeName(error.code))},
          {QStringLiteral("message"), text(error.message)},
          {QStringLiteral("remedy"), text(error.remedy)}};
}

QJsonObject infoJson(const api::EngineInfo& info) {
  return {{QStringLiteral("model"), text(info.modelName)},
          {QStringLiteral("context_tokens"), qint64{info.contextTokens}},
          {QStringLiteral("vocab_size"), qint64{info.vocabSize}},
          {QStringLiteral("ranks"), info.ranks},
          {QStringLiteral("backend"), text(info.backend)},
          {QStringLiteral("numerics"), text(info.numerics)},
          {QStringLiteral("fingerprint"), text(info.fingerprint)}};
}

QJsonObject statusJson(std::int64_t pid, const protocol::Status& status) {
  return {{QStringLiteral("running"), true},
          {QStringLiteral("pid"), qint64{pid}},
          {QStringLiteral("state"), text(api::engineStateName(status.state))},
          {QStringLiteral("endpoint"), text(status.endpoint)},
          {QStringLiteral("info"), infoJson(status.info)},
          {QStringLiteral("stats"), statsJson(status.stats)}};
}

}  // namespace tandem::cli
