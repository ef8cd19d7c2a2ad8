// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/lockstep_runner.h"

#include <algorithm>
#include <utility>

#include "engine/runtime/peer_messages.h"

namespace tandem::runtime {

LockstepRunner::LockstepRunner(model::LanguageModel& model, comm::PeerChannel* peer)
    : local_(model),
      peer_(peer) {
  plan_.epoch = peer != nullptr ? peer->epoch() : 0;
}

Result<SequenceSlot> LockstepRunner::openSequence(std::int64_t maxTokens) {
  const PlannedSequence sequence{lastSlot_ + 1, maxTokens};
  if (const Result<void> opened = local_.open(sequence); !opened) {
    return opened.error();
  }
  lastSlot_ = sequence.slot;
  plan_.opened.push_back(sequence);
  return sequence.slot;
}

void LockstepRunner::closeSequence(SequenceSlot slot) {
  local_.close(slot);
  const auto untold =
      std::find_if(plan_.opened.begin(), plan_.opened.end(), [&](const PlannedSequence& opened) {
        return opened.slot == slot;
      });
  if (untold != plan_.opened.end()) {
    plan_.opened.erase(untold);
  } else {
    plan_.closed.push_back(slot);
  }
}

Result<std::span<const float>> LockstepRunner::step(std::vector<PlannedChunk> chunks) {
  plan_.chunks = std::move(chunks);
  if (const Result<void> told = tell(); !told) {
    return told.error();
  }
  return local_.forward(plan_.chunks);
}

Result<void> LockstepRunner::flush() {
  plan_.chunks.clear();
  if (plan_.opened.empty() && plan_.closed.empty()) {
    return {};
  }
  return tell();
}

Result<void> LockstepRunner::tell() {
  ++plan_.step;
  if (peer_ != nullptr) {
    const Result<void> sent = peer_->send(peer_message::kPlan, encode(plan_));
    if (!sent) {
      return sent;
    }
  }
  plan_.opened.clear();
  plan_.closed.clear();
  return {};
}

}  // namespace tandem::runtime
