// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command_json.h"

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
