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
  // Before the word that it is loaded: rank 0 plans the caches with it.
  reportMemory();
  if (const Result<void> sent = channel_.send(peer_message::kLoaded, {}); !sent) {
    return sent;
  }
  const PeriodicTask memory("stats", memoryInterval_, [this] { reportMemory(); });
  while (true) {
    const Result<std::optional<comm::PeerMessage>> message = channel_.receive(memoryInterval_);
    if (!message) {
      const bool orderly = message.error().code == ErrorCode::Cancelled;
      return orderly ? Result<void>() : Result<void>(message.error());
    }
    if (!message->has_value()) {
      continue;
    }
    if ((*message)->type == peer_message::kCache) {
      if (const Result<void> made = makeCache((*message)->payload); !made) {
        return made;
      }
    }
    if ((*message)->type != peer_message::kPlan) {
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
  const Result<StepOutcome> done = runner_.run(plan);
  if (!done && done.error().code != ErrorCode::OutOfRange) {
    return channel_.health()->explain(done.error());
  }
  if (!done) {
    // Rank 0's model refused the same input and changed nothing either; it fails the request.
    logger_.warning("worker", "step {}: {}", plan.step, done.error().message);
  }
  return {};
}

Result<void> Worker::makeCache(std::span<const std::byte> payload) {
  const Result<model::CacheSettings> settings = decodeCacheSettings(payload);
  if (!settings) {
    return settings.error();
  }
  Result<void> made = runner_.createCache(*settings);
  cacheBytes_ = runner_.cacheBytes();
  return made;
}

void Worker::reportMemory() {
  api::RankMemory memory;
  memory.rank = channel_.rank();
  memory.weightBytes = runner_.weightBytes();
  memory.kvBytes = cacheBytes_;
  readMemory(memory);
  // A lost rank 0 ends run() by itself.
  [[maybe_unused]] const Result<void> sent = channel_.send(peer_message::kMemory, encode(memory));
}

}  // namespace tandem::runtime
