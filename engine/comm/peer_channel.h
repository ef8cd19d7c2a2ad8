// SPDX-License-Identifier: GPL-3.0-or-later
// Ordered messages between rank 0 and rank 1: plans one way, events and failures the other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/comm/peer_health.h"

namespace tandem::comm {

/// The channel does not look inside; who uses it gives types numbers from kFirstFreeType up.
struct PeerMessage {
  static constexpr std::uint16_t kFirstFreeType = 16;

  std::uint16_t type = 0;
  std::vector<std::byte> payload;
};

/// One rank's end. It watches the other rank all the time: health() fails within 5 s of its death.
class PeerChannel {
 public:
  virtual ~PeerChannel() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] int peerRank() const { return 1 - rank(); }

  /// Names this start of the engine; every plan carries it. The same on both ranks.
  [[nodiscard]] virtual std::uint64_t epoch() const = 0;

  /// On rank 0: what to add to a time of rank 1's monotonic clock to get one of this host's.
  [[nodiscard]] virtual std::chrono::nanoseconds clockOffset() const = 0;

  /// Any thread. Fails with the reason health() has once the peer is lost.
  virtual Result<void> send(std::uint16_t type, std::span<const std::byte> payload) = 0;

  /// The next message, or nothing if none came in time. One thread. Messages that arrived before
  /// the peer was lost are still handed out.
  /// Fails    Cancelled after the peer's goodbye; Unavailable when it is lost, or gave a reason.
  virtual Result<std::optional<PeerMessage>> receive(std::chrono::milliseconds wait) = 0;

  /// Tells the peer that this end closes in order, so that it does not report a loss; or why it
  /// gives up. The last thing to send: the peer's health() fails with it.
  virtual void goodbye(const std::optional<Error>& reason = std::nullopt) = 0;

  [[nodiscard]] virtual std::shared_ptr<PeerHealth> health() const = 0;
};

}  // namespace tandem::comm
