// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/words.h"

#include <fmt/core.h>

#include <cmath>
#include <cstddef>

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

template <typename Count>
double percent(Count part, Count whole) {
  return 100 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string recentText(const char* what, const api::DurationStats& stats) {
  if (!stats.recent) {
    return "";
  }
  return fmt::format("; {} {} (p95 {}, of {})",
                     what,
                     durationText(stats.recent->medianSeconds),
                     durationText(stats.recent->p95Seconds),
                     stats.recent->count);
}

/// A line, or "" when there was nothing in the last minute.
std::string latencyText(const api::LatencyStats& latency) {
  const std::string text = recentText("first token", latency.firstToken) +
                           recentText("between tokens", latency.interToken) +
                           recentText("queue", latency.queue) +
                           recentText("whole request", latency.endToEnd);
  return text.empty() ? "" : "\nlatency    last minute" + text;
}

std::string cacheText(const api::EngineStats& stats) {
  const api::KvTokens tokens = api::kvTokens(stats);
  if (tokens.total == 0) {
    return "";
  }
  std::string text = fmt::format(
      "\ncache      requests hold {} of {} tokens ({:.0f} %), {} more "
      "are kept for reuse",
      tokens.live,
      tokens.total,
      percent(tokens.live, tokens.total),
      tokens.prefix);
  if (stats.prefixCache.queriedTokens > 0) {
    text += fmt::format("; {:.0f} % of prompt tokens were in it",
                        percent(stats.prefixCache.hitTokens, stats.prefixCache.queriedTokens));
  }
  if (stats.preemptions > 0) {
    text += fmt::format("; {} preempted", stats.preemptions);
  }
  return text;
}

/// A line, or "" when nothing was drafted.
std::string draftsText(const api::DraftStats& drafts) {
  const std::optional<double> length = drafts.meanLength();
  if (!length) {
    return "";
  }
  std::string places;
  for (std::size_t i = 0; i < api::kDraftPositions; ++i) {
    if (const std::optional<double> share = drafts.acceptance(i)) {
      places += fmt::format("{}{:.0f} %", places.empty() ? "" : ", ", *share * 100);
    }
  }
  return fmt::format("\ndrafts     {} accepted by place, {:.2f} tokens a step", places, *length);
}

/// A line, or "" while the engine is idle.
std::string stepsText(const api::EngineStats& stats) {
  if (!stats.meanStepSeconds) {
    return "";
  }
  std::string text = fmt::format("\nsteps      {} each, {:.0f} % of it between the ranks",
                                 durationText(*stats.meanStepSeconds),
                                 stats.communicationShare * 100);
  if (stats.workerLagSeconds) {
    text += fmt::format("; {} trails by {}",
                        *stats.workerLagSeconds < 0 ? "rank 0" : "rank 1",
                        durationText(std::abs(*stats.workerLagSeconds)));
  }
  return text;
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
  text += fmt::format(
      "\ntokens     {} read, of them {} from the cache, {} written; now {:.1f} tok/s read, {:.1f} "
      "from the cache, {:.1f} written",
      stats.promptTokens,
      stats.cachedPromptTokens,
      stats.generatedTokens,
      stats.prefillTokensPerSecond,
      stats.cachedTokensPerSecond,
      stats.decodeTokensPerSecond);
  text += latencyText(stats.latency);
  text += cacheText(stats);
  text += draftsText(stats.drafts);
  text += stepsText(stats);
  for (const api::RankMemory& rank : stats.ranks) {
    text += fmt::format("\nmemory     rank {}: process {}, of it weights {} and cache {}",
                        rank.rank,
                        formatBytes(rank.processBytes),
                        formatBytes(rank.weightBytes),
                        formatBytes(rank.kvBytes));
  }
  if (stats.memoryGuard.state != api::MemoryGuardState::Normal) {
    text += fmt::format("\nguard      {}: {}",
                        api::memoryGuardStateName(stats.memoryGuard.state),
                        stats.memoryGuard.sentence);
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
