// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 0's way to the model: every step is told to rank 1 first, then done here too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/comm/peer_channel.h"
#include "engine/runtime/model_runner.h"

namespace tandem::runtime {

/// A chunk as rank 0 sees it: with the whole block table of its sequence.
struct StepChunk {
  kvcache::SlotId slot = 0;
  std::int64_t position = 0;
  std::span<const TokenId> tokens = {};
  std::span<const kvcache::BlockId> blocks = {};
  std::int32_t logitRows = 0;
  std::int32_t drafts = 0;
};

/// Engine thread, after createCache(); what it refers to must outlive it.
class LockstepRunner {
 public:
  /// peer   null when there is one rank
  LockstepRunner(model::LanguageModel& model, comm::PeerChannel* peer);

  /// On both ranks. Once, before the first step.
  /// Fails    as ModelRunner::createCache(), rank 1 then never hears of it; Unavailable when rank 1
  ///          is lost
  Result<void> createCache(const model::CacheSettings& settings);

  /// One step of both ranks. Fails as ModelRunner::run(); Unavailable when rank 1 is lost.
  Result<StepOutcome> step(kvcache::CacheOperations operations, std::span<const StepChunk> chunks);

  [[nodiscard]] const ModelRunner& local() const { return local_; }
  [[nodiscard]] const model::CacheSettings& settings() const { return settings_; }
  [[nodiscard]] comm::PeerChannel* peer() const { return peer_; }

 private:
  /// With what rank 1 does not know of the block table yet.
  PlannedChunk planChunk(const StepChunk& chunk);

  ModelRunner local_;
  comm::PeerChannel* const peer_;
  model::CacheSettings settings_;
  StepPlan plan_;
  std::vector<std::vector<kvcache::BlockId>> toldTables_;  // by slot
};

}  // namespace tandem::runtime
