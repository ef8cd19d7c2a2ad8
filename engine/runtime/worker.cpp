// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/worker.h"

#include <fmt/core.h>

#include "engine/runtime/memory_probe.h"
#include "engine/runtime/peer_messages.h"
#include "engine/runtime/periodic_task.h"

namespace tandem::runtime {

Worker::Worker(comm::PeerChannel& channel,
               model::LanguageModel& model,
               Logger& logger,
               std::chrono::milliseconds memoryInterval)
    : channel_(channel),
      runner_(model),
      logger_(logger),
      memoryInterval_(memoryInterval) {}

Result<void> Worker::run() {
  if (const Result<void> sent = channel_.send(peer_message::kLoaded, {}); !sent) {
    return sent;
  }
  reportMemory();
  const PeriodicTask memory("stats", memoryInterval_, [this] { reportMemory(); });
  while (true) {
    const Result<std::optional<comm::PeerMessage>> message = channel_.receive(memoryInterval_);
    if (!message) {
      const bool orderly = message.error().code == ErrorCode::Cancelled;
      return orderly ? Result<void>() : Result<void>(message.error());
    }
    if (!message->has_value() || (*message)->type != peer_message::kPlan) {
      continue;
    }
    const Result<StepPlan> plan = decodeStepPlan((*message)->payload);
    if (!plan) {
      return plan.error();
    }
    if (const Result<void> followed = follow(*plan); !followed) {
      return followed;
    }
  }
}

Result<void> Worker::follow(const StepPlan& plan) {
  if (plan.epoch != channel_.epoch() || plan.step != lastStep_ + 1) {
    return Error{
        ErrorCode::Internal,
        fmt::format("got the plan of step {} in epoch {:x}, expected step {} in epoch {:x}",
                    plan.step,
                    plan.epoch,
                    lastStep_ + 1,
                    channel_.epoch()),
        "Restart the engine; if it happens again, report both ranks' logs."};
  }
  lastStep_ = plan.step;
  for (const SequenceSlot slot : plan.closed) {
    runner_.close(slot);
  }
  for (const PlannedSequence& sequence : plan.opened) {
    if (const Result<void> opened = runner_.open(sequence); !opened) {
      return opened;
    }
  }
  if (!plan.chunks.empty()) {
    const Result<std::span<const float>> done = runner_.forward(plan.chunks);
    if (!done && done.error().code != ErrorCode::OutOfRange) {
      return channel_.health()->explain(done.error());
    }
    if (!done) {
      // Rank 0's model refused the same input and changed nothing either; it fails the request.
      logger_.warning("worker", "step {}: {}", plan.step, done.error().message);
    }
  }
  stateBytes_ = runner_.stateBytes();
  return {};
}

void Worker::reportMemory() {
  api::RankMemory memory;
  memory.rank = channel_.rank();
  memory.weightBytes = runner_.weightBytes();
  memory.kvBytes = stateBytes_;
  readMemory(memory);
  // A lost rank 0 ends run() by itself.
  [[maybe_unused]] const Result<void> sent = channel_.send(peer_message::kMemory, encode(memory));
}

}  // namespace tandem::runtime
