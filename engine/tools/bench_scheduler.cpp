// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/bench_scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/tools/arrival_trace.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/scheduler_simulation.h"
#include "engine/tools/two_spark_cost.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNotice =
    "A projection: virtual time on a model of two DGX Sparks, made of the weights' sizes and of "
    "published measurements. No Spark was measured.";

// By what an answer had to wait for: tokens of its prompt that were not cached.
constexpr std::int64_t kShortPrompt = 2'000;
constexpr std::int64_t kLongPrompt = 32'000;

struct Arguments {
  std::filesystem::path jsonFile;
  std::filesystem::path traceFile;
  std::string mix = "mixed";
  std::uint64_t seed = 1;
  std::vector<std::string> orders{"oldest", "half"};
  std::vector<int> stalls{66, 500};
  int pace = 66;
  int maxRunning = 6;
  int chunk = 4096;
  int maxDrafts = 2;
  std::int64_t cacheTokens = 2'000'000;
};

struct Run {
  std::string order;
  int stall = 0;
  SimulationResult result;
};

double quantile(std::vector<double> values, double part) {
  if (values.empty()) {
    return 0;
  }
  // The nearest rank.
  const double rank = std::ceil(part * static_cast<double>(values.size())) - 1;
  const auto index = static_cast<std::ptrdiff_t>(std::max(rank, 0.0));
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[static_cast<std::size_t>(index)];
}

Json quantilesOf(const std::vector<double>& values) {
  return {{"count", values.size()},
          {"p50", quantile(values, 0.5)},
          {"p90", quantile(values, 0.9)},
          {"p99", quantile(values, 0.99)},
          {"max", quantile(values, 1)}};
}

std::vector<double> firstTokenTimes(const SimulationResult& result,
                                    std::int64_t least,
                                    std::int64_t below) {
  std::vector<double> times;
  for (const SimulatedRequest& request : result.requests) {
    const std::int64_t computed = request.promptTokens - request.cachedTokens;
    if (computed >= least && computed < below) {
      times.push_back(request.firstToken - request.arrived);
    }
  }
  return times;
}

/// Tokens a second of every answer that is long enough to speak of it.
std::vector<double> answerSpeeds(const SimulationResult& result) {
  std::vector<double> speeds;
  for (const SimulatedRequest& request : result.requests) {
    if (request.answerTokens >= 20) {
      speeds.push_back(static_cast<double>(request.answerTokens - 1) /
                       (request.ended - request.firstToken));
    }
  }
  return speeds;
}

double mixedSpeed(const SimulationResult& result) {
  return result.mixedSeconds > 0 ? result.mixedTokens / result.mixedSeconds : 0;
}

Json summaryOf(const SimulationResult& result) {
  std::int64_t computed = 0;
  std::int64_t generated = 0;
  for (const SimulatedRequest& request : result.requests) {
    computed += request.promptTokens - request.cachedTokens;
    generated += request.answerTokens;
  }
  constexpr std::int64_t kNoLimit = INT64_MAX;
  const std::vector<double> speeds = answerSpeeds(result);
  return {
      {"requests", result.requests.size()},
      {"seconds", result.seconds},
      {"steps", result.steps},
      {"prompt_tokens_computed", computed},
      {"generated_tokens", generated},
      {"generated_tokens_per_second", static_cast<double>(generated) / result.seconds},
      {"ttft_seconds",
       {{"all", quantilesOf(firstTokenTimes(result, 0, kNoLimit))},
        {"below_2K", quantilesOf(firstTokenTimes(result, 0, kShortPrompt))},
        {"2K_to_32K", quantilesOf(firstTokenTimes(result, kShortPrompt, kLongPrompt))},
        {"from_32K", quantilesOf(firstTokenTimes(result, kLongPrompt, kNoLimit))}}},
      {"delivery_gap_seconds", quantilesOf(result.gaps)},
      {"time_per_token_seconds", quantilesOf(result.tokenTimes)},
      {"answer_tokens_per_second",
       {{"p05", quantile(speeds, 0.05)},
        {"p50", quantile(speeds, 0.5)},
        {"p95", quantile(speeds, 0.95)}}},
      {"beside_prompts",
       {{"seconds", result.mixedSeconds},
        {"answer_tokens_per_second", mixedSpeed(result)},
        {"worst_stall_seconds", result.worstStall}}},
      {"preemptions", result.preemptions},
      {"refused", result.refused},
      {"prefix_hit_tokens", result.cache.hitTokens},
      {"prefix_queried_tokens", result.cache.queriedTokens},
  };
}

Json constantsOf(const TwoSparkCost& cost) {
  return {{"bandwidth_bytes_per_second", cost.bandwidth},
          {"dense_bytes", cost.denseBytes},
          {"expert_bytes", cost.expertBytes},
          {"experts", cost.experts},
          {"experts_per_token", cost.expertsPerToken},
          {"drafter_bytes", cost.drafterBytes},
          {"drafter_expert_bytes", cost.drafterExpertBytes},
          {"context_bytes", cost.contextBytes},
          {"row_flops", cost.rowFlops},
          {"context_flops", cost.contextFlops},
          {"flops_per_second", cost.flops},
          {"all_reduces", cost.allReduces},
          {"all_reduce_latency_seconds", cost.allReduceLatency},
          {"all_reduce_bytes_per_second", cost.allReduceBandwidth}};
}

void printTable(const std::vector<Run>& runs) {
  fmt::print("{}\n\n", kNotice);
  fmt::print("{:<10}{:>8} | {:>19} | {:>19} | {:>19} | {:>15} | {:>15} | {:>7} | {:>7}\n",
             "order",
             "stall",
             "TTFT < 2K",
             "TTFT 2K to 32K",
             "TTFT from 32K",
             "answer tok/s",
             "beside prompts",
             "total",
             "preemp-");
  fmt::print("{:<10}{:>8} | {:>19} | {:>19} | {:>19} | {:>15} | {:>15} | {:>7} | {:>7}\n",
             "",
             "ms",
             "p50    p90    max s",
             "p50    p90    max s",
             "p50    p90    max s",
             "p05   p50   p95",
             "tok/s   stall s",
             "s",
             "tions");
  for (const Run& run : runs) {
    const SimulationResult& result = run.result;
    const auto ttft = [&result](std::int64_t least, std::int64_t below) {
      const std::vector<double> times = firstTokenTimes(result, least, below);
      if (times.empty()) {
        return std::string("none");
      }
      return fmt::format("{:>5.1f} {:>6.1f} {:>6.1f}",
                         quantile(times, 0.5),
                         quantile(times, 0.9),
                         quantile(times, 1));
    };
    const std::vector<double> speeds = answerSpeeds(result);
    fmt::print("{:<10}{:>8} | {:>19} | {:>19} | {:>19} | {:>15} | {:>15} | {:>7.0f} | {:>7}\n",
               run.order,
               run.stall,
               ttft(0, kShortPrompt),
               ttft(kShortPrompt, kLongPrompt),
               ttft(kLongPrompt, INT64_MAX),
               fmt::format("{:.1f} {:>5.1f} {:>5.1f}",
                           quantile(speeds, 0.05),
                           quantile(speeds, 0.5),
                           quantile(speeds, 0.95)),
               fmt::format("{:.1f} {:>9.2f}", mixedSpeed(result), result.worstStall),
               result.seconds,
               result.preemptions);
  }
}

Result<void> bench(const Arguments& arguments,
                   const std::map<std::string, runtime::PromptOrder>& orders) {
  const Result<std::vector<TraceTurn>> trace = arguments.traceFile.empty()
                                                   ? makeTrace(arguments.mix, arguments.seed)
                                                   : readTrace(arguments.traceFile);
  if (!trace) {
    return trace.error();
  }
  SimulationOptions options;
  options.seed = arguments.seed;
  options.limits.maxRunning = arguments.maxRunning;
  options.limits.prefillChunkTokens = arguments.chunk;
  options.limits.maxDrafts = arguments.maxDrafts;
  options.limits.pace = std::chrono::milliseconds(arguments.pace);
  options.capacity.blocks =
      static_cast<std::int32_t>(arguments.cacheTokens / kvcache::kBlockTokens);
  options.capacity.sequences = arguments.maxRunning;
  options.capacity.snapshots = 256;
  std::vector<Run> runs;
  Json json{{"projection", true},
            {"notice", kNotice},
            {"trace",
             arguments.traceFile.empty() ? fmt::format("{}, seed {}", arguments.mix, arguments.seed)
                                         : arguments.traceFile.string()},
            {"constants", constantsOf(options.cost)},
            {"max_running", arguments.maxRunning},
            {"prefill_chunk_tokens", arguments.chunk},
            {"max_drafts", arguments.maxDrafts},
            {"pace_ms", arguments.pace},
            {"cache_tokens", arguments.cacheTokens},
            {"runs", Json::array()}};
  for (const int stall : arguments.stalls) {
    for (const std::string& order : arguments.orders) {
      options.limits.promptOrder = orders.at(order);
      options.limits.longestStall = std::chrono::milliseconds(stall);
      Result<SimulationResult> result = simulate(*trace, options);
      if (!result) {
        return result.error();
      }
      Json run{{"order", order}, {"longest_stall_ms", stall}};
      run.update(summaryOf(*result));
      json["runs"].push_back(std::move(run));
      runs.push_back({order, stall, *std::move(result)});
    }
  }
  printTable(runs);
  if (arguments.jsonFile.empty()) {
    return {};
  }
  std::ofstream out(arguments.jsonFile);
  out << json.dump(2) << '\n';
  if (!out.flush()) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("cannot write {}", arguments.jsonFile.string()),
                 "Name a file in a folder that can be written."};
  }
  return {};
}

}  // namespace

int benchScheduler(int argc, char** argv) {
  CLI::App app("Projects what a scheduling policy means on two DGX Sparks, in virtual time.",
               "tandem-engine bench scheduler");
  const std::map<std::string, runtime::PromptOrder> orders{
      {"oldest", runtime::PromptOrder::OldestFirst},
      {"half", runtime::PromptOrder::HalfToShortest},
      {"shortest", runtime::PromptOrder::ShortestFirst}};
  Arguments arguments;
  app.add_option("--json", arguments.jsonFile, "where all figures are written");
  app.add_option("--trace", arguments.traceFile, R"(lines of {"at", "session", "new", "answer"})");
  app.add_option("--mix", arguments.mix, "made-up arrivals, without --trace")
      ->check(CLI::IsMember(std::vector<std::string>(kTraceMixes.begin(), kTraceMixes.end())))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "of arrivals and drafts")->capture_default_str();
  app.add_option("--policy", arguments.orders, "prompt orders to compare: oldest, half, shortest")
      ->check(CLI::IsMember(orders))
      ->capture_default_str();
  app.add_option("--longest-stall", arguments.stalls, "ms that a single step may take, each is run")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  app.add_option("--pace", arguments.pace, "ms for an answer's token while prompts are read")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  app.add_option("--max-running", arguments.maxRunning)
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--prefill-chunk", arguments.chunk, "most prompt tokens in a step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--max-drafts", arguments.maxDrafts)
      ->check(CLI::Range(0, runtime::kMostDrafts))
      ->capture_default_str();
  app.add_option("--kv-tokens", arguments.cacheTokens, "that the cache holds")
      ->check(CLI::Range(std::int64_t{256}, std::int64_t{1} << 30))
      ->capture_default_str();
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }
  const Result<void> done = bench(arguments, orders);
  if (!done) {
    fmt::print(stderr, "tandem-engine bench scheduler: {}\n", done.error().text());
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace tandem::tools
