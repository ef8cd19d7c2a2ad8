// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/model_runner.h"

#include <fmt/core.h>

#include <cstddef>
#include <utility>

namespace tandem::runtime {

Result<void> ModelRunner::open(const PlannedSequence& sequence) {
  if (states_.find(sequence.slot) != states_.end()) {
    return Error{ErrorCode::Internal,
                 fmt::format("sequence slot {} is opened twice", sequence.slot),
                 "Restart the engine; if it happens again, report both ranks' logs."};
  }
  Result<std::unique_ptr<model::SequenceState>> state = model_.newSequence(sequence.maxTokens);
  if (!state) {
    return state.error();
  }
  states_.emplace(sequence.slot, std::move(*state));
  return {};
}

void ModelRunner::close(SequenceSlot slot) {
  states_.erase(slot);
}

Result<std::span<const float>> ModelRunner::forward(std::span<const PlannedChunk> chunks) {
  std::vector<model::SequenceChunk> inputs;
  std::size_t rows = 0;
  for (const PlannedChunk& chunk : chunks) {
    const auto state = states_.find(chunk.slot);
    if (state == states_.end()) {
      return Error{ErrorCode::Internal,
                   fmt::format("the plan feeds sequence slot {}, which is not open", chunk.slot),
                   "Restart the engine; if it happens again, report both ranks' logs."};
    }
    inputs.push_back({state->second.get(), chunk.tokens, chunk.logitRows});
    rows += static_cast<std::size_t>(chunk.logitRows);
  }
  logits_.resize(rows * static_cast<std::size_t>(model_.vocabSize()));
  if (const Result<void> done = model_.forward(inputs, logits_); !done) {
    return done.error();
  }
  return std::span<const float>(logits_);
}

std::uint64_t ModelRunner::stateBytes() const {
  std::uint64_t bytes = 0;
  for (const auto& entry : states_) {
    bytes += entry.second->bytes();
  }
  return bytes;
}

}  // namespace tandem::runtime
