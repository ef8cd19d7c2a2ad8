// SPDX-License-Identifier: GPL-3.0-or-later
// What both ranks do in one step: rank 0 writes the plan, rank 1 follows it to the letter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"

namespace tandem::runtime {

/// Names a sequence between the ranks. Given out by rank 0, never reused within an epoch.
using SequenceSlot = std::uint32_t;

/// A run of new tokens of one sequence.
struct PlannedChunk {
  SequenceSlot slot = 0;
  std::vector<TokenId> tokens;  // not empty
  std::int32_t logitRows = 0;   // logits of the last rows are wanted

  friend bool operator==(const PlannedChunk&, const PlannedChunk&) = default;
};

struct PlannedSequence {
  SequenceSlot slot = 0;
  std::int64_t maxTokens = 0;

  friend bool operator==(const PlannedSequence&, const PlannedSequence&) = default;
};

/// In this order: sequences are closed, sequences are opened, one forward step runs if there are
/// chunks.
struct StepPlan {
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;  // counts from 1 within an epoch
  std::vector<SequenceSlot> closed;
  std::vector<PlannedSequence> opened;
  std::vector<PlannedChunk> chunks;

  friend bool operator==(const StepPlan&, const StepPlan&) = default;
};

[[nodiscard]] std::vector<std::byte> encode(const StepPlan& plan);

/// Fails with DataCorrupt for bytes encode() cannot have made.
Result<StepPlan> decodeStepPlan(std::span<const std::byte> bytes);

}  // namespace tandem::runtime
