// SPDX-License-Identifier: GPL-3.0-or-later
// The peer channel between two processes: messages and heartbeats over one authenticated TLS
// connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

#include "engine/base/event_fd.h"
#include "engine/comm/peer_channel.h"
#include "engine/comm/peer_frame.h"
#include "engine/comm/peer_inbox.h"
#include "engine/comm/tls_stream.h"

namespace tandem::comm {

/// How often a rank says that it is alive, and when silence means that it is not.
struct PeerTimings {
  std::chrono::milliseconds heartbeat{1000};
  std::chrono::milliseconds lostAfter{4000};
  std::chrono::milliseconds handshake{5000};
};

/// What both ends agreed on while connecting.
struct PeerIdentity {
  int rank = 0;  // of this end
  std::uint64_t epoch = 0;
  std::chrono::nanoseconds clockOffset{0};
};

/// Owns the connection and the thread "peer" that reads it, beats, and watches for silence.
class SecurePeerChannel final : public PeerChannel {
 public:
  /// `parser` may hold bytes that arrived with the last message of the handshake.
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<std::unique_ptr<PeerChannel>> create(std::unique_ptr<TlsStream> stream,
                                                     FrameParser parser,
                                                     const PeerIdentity& identity,
                                                     const PeerTimings& timings);

  /// Ends the connection; without goodbye() the peer sees a loss.
  ~SecurePeerChannel() override;
  SecurePeerChannel(const SecurePeerChannel&) = delete;
  SecurePeerChannel& operator=(const SecurePeerChannel&) = delete;

  [[nodiscard]] int rank() const override { return identity_.rank; }
  [[nodiscard]] std::uint64_t epoch() const override { return identity_.epoch; }
  [[nodiscard]] std::chrono::nanoseconds clockOffset() const override {
    return identity_.clockOffset;
  }
  Result<void> send(std::uint16_t type, std::span<const std::byte> payload) override;
  Result<std::optional<PeerMessage>> receive(std::chrono::milliseconds wait) override;
  void goodbye(const std::optional<Error>& reason) override;
  [[nodiscard]] std::shared_ptr<PeerHealth> health() const override { return health_; }

 private:
  SecurePeerChannel(std::unique_ptr<TlsStream> stream,
                    FrameParser parser,
                    const PeerIdentity& identity,
                    const PeerTimings& timings,
                    std::shared_ptr<PeerHealth> health,
                    EventFd stop);

  void watch();
  Result<void> readArrived();
  Result<void> dispatch();

  const std::unique_ptr<TlsStream> stream_;
  FrameParser parser_;            // of the thread
  std::optional<Error> goodbye_;  // of the thread: what the peer said last
  const PeerIdentity identity_;
  const PeerTimings timings_;
  const std::shared_ptr<PeerHealth> health_;
  PeerInbox inbox_;
  const EventFd stop_;
  std::thread thread_;
};

}  // namespace tandem::comm
