// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 1: follows rank 0's plans step by step, and never samples.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/log.h"
#include "engine/comm/peer_channel.h"
#include "engine/runtime/model_runner.h"
#include "engine/runtime/step_plan.h"

namespace tandem::runtime {

/// Engine thread of rank 1; the referenced objects must outlive it.
class Worker {
 public:
  /// disk   where this rank keeps prefixes; nothing: nowhere
  Worker(comm::PeerChannel& channel,
         model::LanguageModel& model,
         Logger& logger,
         std::chrono::milliseconds memoryInterval = std::chrono::seconds(1),
         std::optional<DiskCacheOptions> disk = std::nullopt);

  /// Tells rank 0 that this rank is loaded, makes the cache as it is told and follows plans, and
  /// reports memory once a second,
  /// until rank 0 says goodbye. Then it waits a while for what is not on its disk yet.
  /// Fails    Unavailable when rank 0 is lost; Internal for a plan of another epoch or out of
  ///          order; DataCorrupt; as LanguageModel
  Result<void> run();

 private:
  Result<void> followPlans();
  Result<void> obey(const comm::PeerMessage& message);
  void openDisk();
  Result<void> fetch(std::span<const std::byte> payload);
  Result<void> makeCache(std::span<const std::byte> payload);
  Result<void> follow(const StepPlan& plan);
  void reportMemory();

  comm::PeerChannel& channel_;
  ModelRunner runner_;
  Logger& logger_;
  const std::chrono::milliseconds memoryInterval_;
  const std::optional<DiskCacheOptions> diskOptions_;
  std::uint64_t lastStep_ = 0;
  std::atomic<std::uint64_t> cacheBytes_{0};  // the memory report reads it on its own thread
};

}  // namespace tandem::runtime
