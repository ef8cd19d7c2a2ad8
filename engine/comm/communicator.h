// SPDX-License-Identifier: GPL-3.0-or-later
// Collectives between the ranks of one engine, in NCCL's words.
#pragma once

#include <cstddef>
#include <span>

#include "engine/base/result.h"

namespace tandem::comm {

/// One rank's end. Calls must come in the same order with the same sizes on every rank, from one
/// thread per rank. Buffers are in the memory of the back end this communicator was made for.
///
/// Fails    Unavailable "rank 1 …" when the peer is gone, Timeout when it does not answer in time,
///          Internal when it is at another call; after a failure every later call fails.
class Communicator {
 public:
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// data[i] = Σ_r data_r[i], always added in the order of the ranks, so every rank holds the
  /// same bits.
  virtual Result<void> allReduceSum(std::span<float> data) = 0;

  /// all = mine_0, mine_1, … ; all.size() == size() * mine.size().
  virtual Result<void> allGather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;

  /// Every rank's data becomes the root's.
  virtual Result<void> broadcast(std::span<std::byte> data, int root) = 0;
};

}  // namespace tandem::comm
