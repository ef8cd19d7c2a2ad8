// SPDX-License-Identifier: GPL-3.0-or-later
// Measures how long collectives take, for the dashboard's share of communication in a step.
#pragma once

#include <atomic>
#include <chrono>

#include "engine/comm/communicator.h"

namespace tandem::comm {

/// Passes every call on and adds up its duration. `inner` must outlive it.
class MeteredCommunicator final : public Communicator {
 public:
  explicit MeteredCommunicator(Communicator& inner)
      : inner_(inner) {}

  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  Result<void> allReduceSum(std::span<float> data) override;
  Result<void> allGather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  Result<void> broadcast(std::span<std::byte> data, int root) override;

  /// Since construction. Any thread.
  [[nodiscard]] std::chrono::nanoseconds elapsed() const {
    return std::chrono::nanoseconds(elapsedNs_.load(std::memory_order_relaxed));
  }

 private:
  class Stopwatch;

  Communicator& inner_;
  std::atomic<std::int64_t> elapsedNs_{0};
};

}  // namespace tandem::comm
