// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers an engine publishes once a second; the dashboard and /metrics are made of these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/engine_state.h"

namespace tandem::api {

/// Memory of one rank's process and of the host it runs on. Bytes.
struct RankMemory {
  int rank = 0;
  std::uint64_t weightBytes = 0;   // resident weights of this rank
  std::uint64_t kvBytes = 0;       // KV and compressor state now allocated
  std::uint64_t processBytes = 0;  // resident set of the process, weights and KV included
  std::uint64_t hostTotalBytes = 0;
  std::uint64_t hostAvailableBytes = 0;
};

/// A snapshot. Totals count from process start; rates cover the last second.
struct EngineStats {
  EngineState state = EngineState::Starting;
  std::optional<Phase> phase;  // of rank 0's start, begun last; nothing once it is Ready
  std::int64_t wallMs = 0;
  double uptimeSeconds = 0;

  int running = 0;
  int waiting = 0;
  std::uint64_t requestsFinished = 0;
  std::uint64_t requestsCancelled = 0;
  std::uint64_t requestsFailed = 0;

  std::uint64_t promptTokens = 0;
  std::uint64_t generatedTokens = 0;
  double prefillTokensPerSecond = 0;
  double decodeTokensPerSecond = 0;
  double lastTtftSeconds = 0;     // of the newest request that got a first token
  double communicationShare = 0;  // of step time, 0..1

  std::int64_t kvTokensUsed = 0;
  std::int64_t kvTokensCapacity = 0;

  std::vector<RankMemory> ranks;  // by rank
};

}  // namespace tandem::api
