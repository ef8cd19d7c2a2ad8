// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 0's way to the model: every step is told to rank 1 first, then done here too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/comm/peer_channel.h"
#include "engine/runtime/fetch_board.h"
#include "engine/runtime/model_runner.h"
#include "engine/runtime/peer_messages.h"

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

  /// Rank 0's folder; rank 1 opens its own. Once, after createCache(). What becomes of fetches is
  /// posted on `board`, rank 1's by PeerRelay.
  /// Fails    as ModelRunner::openDisk()
  Result<void> openDisk(const DiskCacheOptions& options, Logger& logger, FetchBoard& board);

  /// Has every rank read records from its disk, see DiskReplica::fetch(). Needs openDisk().
  /// Fails    Unavailable when rank 1 is lost
  Result<void> fetch(const FetchOrder& order);

  /// Null without openDisk().
  [[nodiscard]] kvcache::DiskReplica* disk() const { return local_.disk(); }
  [[nodiscard]] FetchBoard* fetches() const { return fetches_; }

  [[nodiscard]] const ModelRunner& local() const { return local_; }
  [[nodiscard]] const model::CacheSettings& settings() const { return settings_; }
  [[nodiscard]] comm::PeerChannel* peer() const { return peer_; }

 private:
  /// With what rank 1 does not know of the block table yet.
  PlannedChunk planChunk(const StepChunk& chunk);

  ModelRunner local_;
  comm::PeerChannel* const peer_;
  FetchBoard* fetches_ = nullptr;
  model::CacheSettings settings_;
  StepPlan plan_;
  std::vector<std::vector<kvcache::BlockId>> toldTables_;  // by slot
};

}  // namespace tandem::runtime
