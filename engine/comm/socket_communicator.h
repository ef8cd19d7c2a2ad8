// SPDX-License-Identifier: GPL-3.0-or-later
// Two ranks over one stream socket: collectives for ranks in different processes or on two hosts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/file_descriptor.h"
#include "engine/comm/collective_call.h"
#include "engine/comm/communicator.h"
#include "engine/comm/peer_health.h"

namespace tandem::comm {

/// Both ranks send what they have and add in rank order, so both hold the same bits; a call is one
/// exchange of a header and a payload each way. Waits spin briefly, then poll. Host memory only.
/// Thread   one; PeerHealth::fail() on another thread ends a wait at once.
class SocketCommunicator final : public Communicator {
 public:
  /// socket    connected stream socket, with TCP_NODELAY if it is TCP
  /// rank      0 or 1
  /// health    ends every wait when it fails; may be null
  /// deadline  longest wait in one call for a peer that is alive
  SocketCommunicator(FileDescriptor socket,
                     int rank,
                     std::shared_ptr<const PeerHealth> health,
                     std::chrono::milliseconds deadline = std::chrono::seconds(60));

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return 2; }

  Result<void> allReduceSum(std::span<float> data) override;
  Result<void> allGather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  Result<void> broadcast(std::span<std::byte> data, int root) override;

 private:
  class Exchange;

  /// Sends the header of the next call and `out`, receives the peer's header and fills `in`.
  Result<void> exchange(CollectiveOp op,
                        int root,
                        std::uint64_t bytes,
                        std::span<const std::byte> out,
                        std::span<std::byte> in);
  [[nodiscard]] int peer() const { return 1 - rank_; }

  const FileDescriptor socket_;
  const int rank_;
  const std::shared_ptr<const PeerHealth> health_;
  const std::chrono::milliseconds deadline_;
  std::uint64_t sequence_ = 0;
  std::vector<float> received_;  // the peer's addends
  std::optional<Error> failure_;
};

}  // namespace tandem::comm
