// SPDX-License-Identifier: GPL-3.0-or-later
// What both ranks do in one step: rank 0 writes the plan, rank 1 follows it to the letter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_operations.h"

namespace tandem::runtime {

/// A run of new tokens of one sequence, and where its state lies.
struct PlannedChunk {
  kvcache::SlotId slot = 0;
  std::int64_t position = 0;         // of the first token: as many are committed
  std::vector<TokenId> tokens = {};  // not empty
  std::int32_t logitRows = 0;        // logits of the last rows are wanted
  std::int32_t drafts = 0;           // to be guessed and computed behind the token

  // The slot's block table keeps its first `keptBlocks`; these follow them.
  std::int32_t keptBlocks = 0;
  std::vector<kvcache::BlockId> newBlocks = {};

  friend bool operator==(const PlannedChunk&, const PlannedChunk&) = default;
};

/// In this order: the cache operations, then one forward pass if there are chunks. A decode step of
/// six sequences takes about 250 bytes.
struct StepPlan {
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;  // counts from 1 within an epoch
  kvcache::CacheOperations operations;
  std::vector<PlannedChunk> chunks;

  friend bool operator==(const StepPlan&, const StepPlan&) = default;
};

[[nodiscard]] std::vector<std::byte> encode(const StepPlan& plan);

/// Fails with DataCorrupt for bytes encode() cannot have made.
Result<StepPlan> decodeStepPlan(std::span<const std::byte> bytes);

}  // namespace tandem::runtime
