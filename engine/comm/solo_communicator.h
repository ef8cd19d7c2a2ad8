// SPDX-License-Identifier: GPL-3.0-or-later
// The communicator of an engine with one rank: every collective is the identity.
#pragma once

#include "engine/comm/communicator.h"

namespace tandem::comm {

class SoloCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  Result<void> allReduceSum(std::span<float> data) override;
  Result<void> allGather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  Result<void> broadcast(std::span<std::byte> data, int root) override;
};

}  // namespace tandem::comm
