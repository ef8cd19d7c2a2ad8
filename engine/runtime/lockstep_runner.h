// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 0's way to the model: every step is told to rank 1 first, then done here too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/comm/peer_channel.h"
#include "engine/runtime/model_runner.h"

namespace tandem::runtime {

/// Opens and closes of sequences travel with the next step's plan. Engine thread; what it refers to
/// must outlive it.
class LockstepRunner {
 public:
  /// peer   null when there is one rank
  LockstepRunner(model::LanguageModel& model, comm::PeerChannel* peer);

  /// Fails as LanguageModel::newSequence(); rank 1 then never hears of it.
  Result<SequenceSlot> openSequence(std::int64_t maxTokens);
  void closeSequence(SequenceSlot slot);

  /// One step of both ranks. Logits as ModelRunner::forward().
  /// Fails    as that; Unavailable when rank 1 is lost
  Result<std::span<const float>> step(std::vector<PlannedChunk> chunks);

  /// Tells rank 1 what was opened and closed since the last step, if anything.
  Result<void> flush();

  [[nodiscard]] const ModelRunner& local() const { return local_; }
  [[nodiscard]] comm::PeerChannel* peer() const { return peer_; }

 private:
  Result<void> tell();

  ModelRunner local_;
  comm::PeerChannel* const peer_;
  SequenceSlot lastSlot_ = 0;
  StepPlan plan_;  // what the next step will tell
};

}  // namespace tandem::runtime
