// SPDX-License-Identifier: GPL-3.0-or-later
// Carries out one rank's part of a step: keeps the model's sequences and feeds their chunks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/language_model.h"
#include "engine/runtime/step_plan.h"

namespace tandem::runtime {

/// The same on every rank. Engine thread; `model` must outlive it.
class ModelRunner {
 public:
  explicit ModelRunner(model::LanguageModel& model)
      : model_(model) {}

  /// Fails as LanguageModel::newSequence(); Internal when the slot is taken.
  Result<void> open(const PlannedSequence& sequence);

  /// Frees a sequence's state. A slot that is not open is ignored: opening it may have failed.
  void close(SequenceSlot slot);

  /// One forward pass. The logits, [Σ logitRows, vocabSize], are valid until the next call.
  /// Fails as LanguageModel::forward(); Internal for a slot that is not open.
  Result<std::span<const float>> forward(std::span<const PlannedChunk> chunks);

  [[nodiscard]] std::int64_t vocabSize() const { return model_.vocabSize(); }
  [[nodiscard]] std::uint64_t weightBytes() const { return model_.weightBytes(); }
  [[nodiscard]] std::uint64_t stateBytes() const;
  [[nodiscard]] std::size_t openSequences() const { return states_.size(); }

 private:
  model::LanguageModel& model_;
  std::map<SequenceSlot, std::unique_ptr<model::SequenceState>> states_;
  std::vector<float> logits_;
};

}  // namespace tandem::runtime
