// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/words.h"

#include <fmt/core.h>

#include "engine/base/byte_size.h"
#include "engine/base/clock.h"

namespace tandem::cli {

namespace {

const char* kindText(api::PhaseEventKind kind) {
  switch (kind) {
    case api::PhaseEventKind::Begin:
      return "begins";
    case api::PhaseEventKind::Progress:
      return "";
    case api::PhaseEventKind::End:
      return "done";
    case api::PhaseEventKind::Failed:
      return "failed";
    case api::PhaseEventKind::Skipped:
      return "skipped";
  }
  return "";
}

const char* plural(int count) {
  return count == 1 ? "" : "s";
}

}  // namespace

std::string durationText(double seconds) {
  constexpr long kMinute = 60;
  constexpr long kHour = 60 * kMinute;
  if (seconds < 1) {
    return fmt::format("{:.0f} ms", seconds * 1e3);
  }
  if (seconds < static_cast<double>(kMinute)) {
    return fmt::format("{:.2f} s", seconds);
  }
  const auto whole = static_cast<long>(seconds);
  if (whole < kHour) {
    return fmt::format("{} min {:02} s", whole / kMinute, whole % kMinute);
  }
  return fmt::format("{} h {:02} min", whole / kHour, whole % kHour / kMinute);
}

std::string phaseText(const api::PhaseEvent& event,
                      std::optional<double> seconds,
                      std::optional<double> usualSeconds) {
  std::string line = fmt::format("rank {}  {:<9} {:<7}",
                                 event.rank,
                                 api::phaseName(event.phase),
                                 kindText(event.kind));
  if (seconds) {
    line += fmt::format("  {:>8}", durationText(*seconds));
  }
  if (usualSeconds) {
    line += fmt::format("  (usually {})", durationText(*usualSeconds));
  }
  const bool ended = event.kind != api::PhaseEventKind::Begin;
  if (ended && event.bytesTotal > 0) {
    line += fmt::format("  {}", formatBytes(event.bytesDone));
  }
  if (!event.detail.empty()) {
    line += fmt::format("  {}", event.detail);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string infoText(const api::EngineInfo& info) {
  return fmt::format("{}, {} rank{}, {} back end, {} numerics, {} tokens of context",
                     info.modelName,
                     info.ranks,
                     plural(info.ranks),
                     info.backend,
                     info.numerics,
                     info.contextTokens);
}

std::string statusText(std::int64_t pid, const protocol::Status& status) {
  const api::EngineStats& stats = status.stats;
  std::string text = fmt::format("state      {}, pid {}, up {}",
                                 api::engineStateName(status.state),
                                 pid,
                                 durationText(stats.uptimeSeconds));
  if (stats.phase && status.state == api::EngineState::Starting) {
    text += fmt::format(", in phase {}", api::phaseName(*stats.phase));
  }
  if (!status.endpoint.empty()) {
    text += fmt::format("\nendpoint   {}", status.endpoint);
  }
  if (!status.info.modelName.empty()) {
    text += fmt::format("\nmodel      {}", infoText(status.info));
  }
  text += fmt::format("\nrequests   {} running, {} waiting, {} finished, {} cancelled, {} failed",
                      stats.running,
                      stats.waiting,
                      stats.requestsFinished,
                      stats.requestsCancelled,
                      stats.requestsFailed);
  text +=
      fmt::format("\ntokens     {} read, {} written; now {:.1f} tok/s read, {:.1f} tok/s written",
                  stats.promptTokens,
                  stats.generatedTokens,
                  stats.prefillTokensPerSecond,
                  stats.decodeTokensPerSecond);
  for (const api::RankMemory& rank : stats.ranks) {
    text += fmt::format("\nmemory     rank {}: process {}, of it weights {} and cache {}",
                        rank.rank,
                        formatBytes(rank.processBytes),
                        formatBytes(rank.weightBytes),
                        formatBytes(rank.kvBytes));
  }
  return text;
}

std::string logText(const LogRecord& record) {
  return fmt::format("{} rank {} {} {}{}{}: {}",
                     formatWallTime(record.wallMs).substr(11, 12),
                     record.rank,
                     logLevelName(record.level),
                     record.module,
                     record.request.empty() ? "" : " ",
                     record.request,
                     record.text);
}

std::string curlText(const std::string& endpoint) {
  return fmt::format(
      "curl -s {}/chat/completions -H 'Content-Type: application/json' \\\n"
      "  -d '{{\"model\":\"any\",\"messages\":[{{\"role\":\"user\","
      "\"content\":\"Hello\"}}]}}'",
      endpoint);
}

}  // namespace tandem::cli
