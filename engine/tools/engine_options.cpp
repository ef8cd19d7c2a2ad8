// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/engine_options.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>
#include <map>

#include "engine/base/byte_size.h"
#include "engine/base/result.h"
#include "engine/runtime/draft_policy.h"
#include "engine/runtime/memory_guard.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

const std::map<std::string, api::Numerics> kNumerics{{"exact", api::Numerics::Exact},
                                                     {"cache", api::Numerics::Cache},
                                                     {"act", api::Numerics::Act}};

const std::map<std::string, api::BackendChoice> kBackends{
    {"auto", api::BackendChoice::Auto},
    {"reference", api::BackendChoice::Reference},
    {"cpu", api::BackendChoice::Cpu},
    {"cuda", api::BackendChoice::Cuda}};

}  // namespace

void addModelOptions(CLI::App& app, api::EngineConfig& config) {
  app.add_option("--model", config.modelFolder, "folder of the checkpoint")->required();
  app.add_option("--ranks", config.ranks, "tensor parallel ranks")
      ->check(CLI::Range(1, 2))
      ->capture_default_str();
  app.add_option("--numerics", config.numerics, "exact, cache (default) or act")
      ->transform(CLI::CheckedTransformer(kNumerics));
  app.add_option("--backend", config.backend, "auto (default), reference, cpu or cuda")
      ->transform(CLI::CheckedTransformer(kBackends));
  app.add_option("--threads",
                 config.threads,
                 "compute threads of a rank; 0: its share of the cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--context", config.contextTokens, "longest conversation; 0: the model's own")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 24))
      ->capture_default_str();
  app.add_option("--chunk", config.prefillChunkTokens, "most prompt tokens in one step")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--speculative",
         [&config](const std::string& value) {
           config.speculative = value != "off";
           config.alwaysDraft = value == "always";
         },
         "on (default): draft with the MTP module where that is faster; always; or off. The "
         "answers "
         "are the same")
      ->check(CLI::IsMember({"on", "off", "always"}));
  app.add_option("--drafts", config.maxDrafts, "most tokens drafted in one step")
      ->check(CLI::Range(1, runtime::kMostDrafts))
      ->capture_default_str();
}

void addCacheOptions(CLI::App& app, api::EngineConfig& config) {
  app.add_option("--max-seqs", config.maxSequences, "requests answered at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--longest-stall",
                 config.longestStallMs,
                 "milliseconds that an answer may wait for its next token while prompts are read")
      ->check(CLI::Range(1, 60000))
      ->capture_default_str();
  app.add_option("--kv-gib", config.kvGib, "GiB for the caches of a rank; default: by utilization")
      ->check(CLI::Range(0.0, 4096.0));
  app.add_option("--memory-utilization",
                 config.memoryUtilization,
                 "share for the caches of what a node has available with the weights loaded")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--prefix-cache",
         [&config](const std::string& value) { config.prefixCache = value == "on"; },
         "on (default) or off: keep what was computed for later prompts")
      ->check(CLI::IsMember({"on", "off"}));
}

void addCacheFolderOptions(CLI::App& app, api::EngineConfig& config) {
  app.add_option("--cache-folder",
                 config.cacheFolder,
                 "folder for prefixes that outlive the engine, in rank-RANK; made if its parent "
                 "exists. Holds what people wrote: 0700");
  app.add_option("--cache-disk-gib", config.cacheDiskGib, "GiB that a rank keeps there at most")
      ->check(CLI::Range(0.001, 65536.0))
      ->capture_default_str();
}

void addLogOption(CLI::App& app, api::EngineConfig& config) {
  app.add_option("--log-folder",
                 config.logFolder,
                 "folder for engine-RANK.jsonl, the log as JSON lines; made if its parent exists");
}

void addMemoryGuardOptions(CLI::App& app, api::EngineConfig& config) {
  app.add_option_function<std::string>(
         "--memory-guard",
         [&](const std::string& value) { config.memoryGuard.enabled = value == "on"; },
         "on (default) or off: give way before a node runs out of memory")
      ->check(CLI::IsMember({"on", "off"}));
  const auto addSize = [&app](const char* name, std::uint64_t& bytes, const char* text) {
    app.add_option_function<double>(
           name,
           [&bytes](const double& gib) {
             bytes = static_cast<std::uint64_t>(gib * static_cast<double>(kGiB));
           },
           text)
        ->check(CLI::Range(0.0, 65536.0));
  };
  addSize("--memory-floor",
          config.memoryGuard.floorBytes,
          "GiB a node must keep available, else the engine ends; 0: 4, at most 5 % of the node's");
  addSize("--memory-hold",
          config.memoryGuard.holdBytes,
          "GiB available below which no new request is started; 0: twice the floor");
  app.final_callback([&config] {
    if (const Result<void> sound = runtime::checkMemoryGuard(config.memoryGuard); !sound) {
      throw CLI::ValidationError("--memory-hold", sound.error().text());
    }
  });
}

std::string parsePeerAddress(const std::string& text, api::PeerConfig& peer) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  const bool hasPort =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  std::string host = hasPort ? text.substr(0, colon) : text;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty()) {
    return fmt::format("\"{}\" has no host; write HOST:PORT", text);
  }
  if (hasPort) {
    const std::string digits = text.substr(colon + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), peer.port);
    if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) {
      return fmt::format("\"{}\" has no port from 0 to 65535 after the colon", text);
    }
  }
  peer.host = std::move(host);
  return {};
}

const char* numericsName(api::Numerics numerics) {
  switch (numerics) {
    case api::Numerics::Exact:
      return "exact";
    case api::Numerics::Cache:
      return "cache";
    case api::Numerics::Act:
      return "act";
  }
  return "cache";
}

}  // namespace tandem::tools
