// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/metrics_text.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <utility>

namespace tandem::server {

namespace {

/// Backslash, quote and newline, as label values have them.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char symbol : text) {
    if (symbol == '\n') {
      result += "\\n";
      continue;
    }
    if (symbol == '\\' || symbol == '"') {
      result += '\\';
    }
    result += symbol;
  }
  return result;
}

/// As Python writes it, since the label `le` is compared as text: "1.0", "0.25", "2560.0".
std::string boundText(double bound) {
  std::string text = fmt::format("{}", bound);
  if (text.find_first_of(".e") == std::string::npos) {
    text += ".0";
  }
  return text;
}

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Writes metrics one after the other; every sample belongs to the metric begun last.
class MetricsWriter {
 public:
  explicit MetricsWriter(std::string_view modelName)
      : common_(fmt::format("model_name=\"{}\",engine=\"0\"", escaped(modelName))) {}

  /// `help` is one line without backslashes.
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(text_),
                   "# HELP {} {}\n# TYPE {} {}\n",
                   name,
                   help,
                   name,
                   type);
  }

  template <typename Number>
  void sample(Number value, Labels labels = {}, std::string_view suffix = "") {
    fmt::format_to(std::back_inserter(text_), "{}{}{{{}", name_, suffix, common_);
    for (const auto& [name, label] : labels) {
      fmt::format_to(std::back_inserter(text_), ",{}=\"{}\"", name, escaped(label));
    }
    fmt::format_to(std::back_inserter(text_), "}} {}\n", value);
  }

  template <typename Number>
  void one(std::string_view name, std::string_view type, std::string_view help, Number value) {
    begin(name, type, help);
    sample(value);
  }

  void histogram(std::string_view name,
                 std::string_view help,
                 const api::DurationHistogram& durations) {
    if (durations.counts.empty()) {
      return;
    }
    begin(name, "histogram", help);
    std::uint64_t upTo = 0;
    for (std::size_t i = 0; i < durations.bounds.size(); ++i) {
      upTo += durations.counts[i];
      sample(upTo, {{"le", boundText(durations.bounds[i])}}, "_bucket");
    }
    sample(durations.count(), {{"le", "+Inf"}}, "_bucket");
    sample(durations.sumSeconds, {}, "_sum");
    sample(durations.count(), {}, "_count");
  }

  std::string take() { return std::move(text_); }

 private:
  const std::string common_;
  std::string_view name_;
  std::string text_;
};

void writeRequests(MetricsWriter& out, const api::EngineStats& stats) {
  out.one("vllm:num_requests_running", "gauge", "Requests being answered.", stats.running);
  out.one("vllm:num_requests_waiting", "gauge", "Requests in the queue.", stats.waiting);
  out.begin("vllm:request_success_total", "counter", "Requests that ended, by how.");
  out.sample(stats.requestsFinished - stats.requestsAtLength, {{"finished_reason", "stop"}});
  out.sample(stats.requestsAtLength, {{"finished_reason", "length"}});
  out.sample(stats.requestsCancelled, {{"finished_reason", "abort"}});
  out.sample(stats.requestsFailed, {{"finished_reason", "error"}});
  out.one("vllm:num_preemptions_total",
          "counter",
          "Times a running request gave up its state to make room.",
          stats.preemptions);
}

void writeTokens(MetricsWriter& out, const api::EngineStats& stats) {
  out.one("vllm:prompt_tokens_total",
          "counter",
          "Prompt tokens read, computed or from the prefix cache.",
          stats.promptTokens);
  out.begin("vllm:prompt_tokens_by_source_total",
            "counter",
            "Prompt tokens by where they came from.");
  out.sample(stats.freshPromptTokens(), {{"source", "local_compute"}});
  out.sample(stats.cachedPromptTokens, {{"source", "local_cache_hit"}});
  out.one("vllm:prompt_tokens_cached_total",
          "counter",
          "Prompt tokens from the prefix cache.",
          stats.cachedPromptTokens);
  out.one("vllm:generation_tokens_total",
          "counter",
          "Answer tokens chosen.",
          stats.generatedTokens);
}

void writeLatency(MetricsWriter& out, const api::LatencyStats& latency) {
  out.histogram("vllm:time_to_first_token_seconds",
                "From submit to the first answer token.",
                latency.firstToken.total);
  out.histogram("vllm:inter_token_latency_seconds",
                "From an answer's tokens to its next ones.",
                latency.interToken.total);
  out.histogram("vllm:request_queue_time_seconds",
                "From submit to the first prefill step.",
                latency.queue.total);
  out.histogram("vllm:e2e_request_latency_seconds",
                "From submit to the end.",
                latency.endToEnd.total);
}

void writeDrafts(MetricsWriter& out, const api::DraftStats& drafts) {
  out.one("vllm:spec_decode_num_drafts_total", "counter", "Drafts checked.", drafts.drafts());
  out.one("vllm:spec_decode_num_draft_tokens_total",
          "counter",
          "Drafted tokens checked.",
          drafts.proposedTokens());
  out.one("vllm:spec_decode_num_accepted_tokens_total",
          "counter",
          "Drafted tokens that came true.",
          drafts.acceptedTokens());
  constexpr std::array<std::string_view, api::kDraftPositions> kPositions{"0", "1", "2"};
  out.begin("vllm:spec_decode_num_accepted_tokens_per_pos_total",
            "counter",
            "Drafted tokens that came true, by place in the draft.");
  for (std::size_t i = 0; i < kPositions.size(); ++i) {
    out.sample(drafts.accepted[i], {{"position", kPositions[i]}});
  }
  out.begin("tandem_spec_decode_num_draft_tokens_per_pos_total",
            "counter",
            "Drafted tokens checked, by place in the draft.");
  for (std::size_t i = 0; i < kPositions.size(); ++i) {
    out.sample(drafts.proposed[i], {{"position", kPositions[i]}});
  }
}

void writeCache(MetricsWriter& out, const api::EngineStats& stats) {
  const api::KvTokens tokens = api::kvTokens(stats);
  if (tokens.total > 0) {
    // vLLM counts blocks kept for prefixes as free: they are given up on need.
    out.one("vllm:kv_cache_usage_perc",
            "gauge",
            "Share of the KV cache held by requests, 0 to 1.",
            static_cast<double>(tokens.live) / static_cast<double>(tokens.total));
    out.begin("tandem_kv_tokens",
              "gauge",
              "The KV cache in tokens: of requests, of prefixes, free.");
    out.sample(tokens.live, {{"state", "live"}});
    out.sample(tokens.prefix, {{"state", "prefix"}});
    out.sample(tokens.free, {{"state", "free"}});
  }
  if (stats.kvBlocks.total > 0) {
    out.one("tandem_kv_block_tokens",
            "gauge",
            "Tokens in a block of the KV cache.",
            stats.kvBlocks.tokensPerBlock);
  }
  const api::PrefixCacheStats& cache = stats.prefixCache;
  out.one("vllm:prefix_cache_queries_total",
          "counter",
          "Prompt tokens looked up in the prefix cache.",
          cache.queriedTokens);
  out.one("vllm:prefix_cache_hits_total",
          "counter",
          "Prompt tokens found in the prefix cache.",
          cache.hitTokens);
  out.one("tandem_prefix_cache_snapshots",
          "gauge",
          "States held that a request can go on from.",
          cache.snapshots);
  if (cache.diskBytes) {
    out.one("tandem_prefix_cache_disk_bytes", "gauge", "Prefixes on disk.", *cache.diskBytes);
  }
  if (cache.diskHitTokens) {
    out.one("tandem_prefix_cache_disk_hits_total",
            "counter",
            "Prompt tokens found on disk.",
            *cache.diskHitTokens);
  }
}

void writeSteps(MetricsWriter& out, const api::EngineStats& stats) {
  out.one("tandem_steps_total", "counter", "Steps of the model.", stats.steps);
  out.one("tandem_step_seconds_total", "counter", "Time in steps.", stats.stepSeconds);
  out.one("tandem_communication_seconds_total",
          "counter",
          "Time in steps spent on communication between the ranks.",
          stats.communicationSeconds);
  out.one("tandem_decode_rows_total",
          "counter",
          "Answers advanced, summed over the steps.",
          stats.decodeRows);
  if (stats.workerLagSeconds) {
    out.one("tandem_worker_lag_seconds",
            "gauge",
            "By which rank 1 trailed rank 0 in the last second's steps, mean.",
            *stats.workerLagSeconds);
  }
}

void writeMemory(MetricsWriter& out, const api::EngineStats& stats) {
  out.begin("tandem_rank_memory_bytes", "gauge", "Memory of a rank's process, and parts of it.");
  for (const api::RankMemory& memory : stats.ranks) {
    const std::string rank = std::to_string(memory.rank);
    out.sample(memory.processBytes, {{"rank", rank}, {"kind", "process"}});
    out.sample(memory.weightBytes, {{"rank", rank}, {"kind", "weights"}});
    out.sample(memory.kvBytes, {{"rank", rank}, {"kind", "kv"}});
  }
  out.begin("tandem_host_memory_bytes", "gauge", "Memory of the host that a rank runs on.");
  for (const api::RankMemory& memory : stats.ranks) {
    const std::string rank = std::to_string(memory.rank);
    out.sample(memory.hostTotalBytes, {{"rank", rank}, {"kind", "total"}});
    out.sample(memory.hostAvailableBytes, {{"rank", rank}, {"kind", "available"}});
  }
  out.begin("tandem_memory_guard_state", "gauge", "1 for the state that the memory guard is in.");
  for (const api::MemoryGuardState state : api::kMemoryGuardStates) {
    out.sample(stats.memoryGuard.state == state ? 1 : 0,
               {{"state", api::memoryGuardStateName(state)}});
  }
}

}  // namespace

std::string metricsText(const api::EngineStats& stats, std::string_view modelName) {
  MetricsWriter out(modelName);
  writeRequests(out, stats);
  writeTokens(out, stats);
  writeLatency(out, stats.latency);
  writeDrafts(out, stats.drafts);
  writeCache(out, stats);
  writeSteps(out, stats);
  writeMemory(out, stats);
  out.begin("tandem_engine_state", "gauge", "1 for the state that the engine is in.");
  for (const api::EngineState state : {api::EngineState::Starting,
                                       api::EngineState::Ready,
                                       api::EngineState::Draining,
                                       api::EngineState::Stopped,
                                       api::EngineState::Failed}) {
    out.sample(stats.state == state ? 1 : 0, {{"state", api::engineStateName(state)}});
  }
  out.one("tandem_uptime_seconds",
          "gauge",
          "Since the engine's process started.",
          stats.uptimeSeconds);
  return out.take();
}

}  // namespace tandem::server
