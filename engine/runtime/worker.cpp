// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/worker.h"

#include <fmt/core.h>

#include <utility>

#include "engine/runtime/memory_probe.h"
#include "engine/runtime/peer_messages.h"
#include "engine/runtime/periodic_task.h"

namespace tandem::runtime {

Worker::Worker(comm::PeerChannel& channel,
               model::LanguageModel& model,
               Logger& logger,
               std::chrono::milliseconds memoryInterval,
               std::optional<DiskCacheOptions> disk)
    : channel_(channel),
      runner_(model),
      logger_(logger),
      memoryInterval_(memoryInterval),
      diskOptions_(std::move(disk)) {}

Result<void> Worker::run() {
  Result<void> ended = followPlans();
  runner_.closeDisk();
  return ended;
}

Result<void> Worker::followPlans() {
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
    if (const Result<void> obeyed = obey(**message); !obeyed) {
      return obeyed;
    }
  }
}

Result<void> Worker::obey(const comm::PeerMessage& message) {
  switch (message.type) {
    case peer_message::kCache:
      return makeCache(message.payload);
    case peer_message::kFetch:
      return fetch(message.payload);
    case peer_message::kPlan: {
      const Result<StepPlan> plan = decodeStepPlan(message.payload);
      return plan ? follow(*plan) : Result<void>(plan.error());
    }
    default:
      return {};
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
  if (made && diskOptions_) {
    openDisk();
  }
  return made;
}

void Worker::openDisk() {
  const Result<void> opened =
      runner_.openDisk(*diskOptions_, logger_, [this](const kvcache::FetchOutcome& outcome) {
        // A lost rank 0 ends run() by itself.
        [[maybe_unused]] const Result<void> sent =
            channel_.send(peer_message::kFetched, encode(outcome));
      });
  if (!opened) {
    logger_.warning("cache", "goes on without its disk: {}", opened.error().text());
  }
}

Result<void> Worker::fetch(std::span<const std::byte> payload) {
  const Result<FetchOrder> order = decodeFetchOrder(payload);
  if (!order) {
    return order.error();
  }
  if (runner_.disk() != nullptr) {
    runner_.disk()->fetch(order->ticket, order->records);
    return {};
  }
  const kvcache::FetchOutcome refused{order->ticket, kNoFolder, std::nullopt};
  return channel_.send(peer_message::kFetched, encode(refused));
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
