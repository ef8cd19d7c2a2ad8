// SPDX-License-Identifier: GPL-3.0-or-later
// How two paired ranks find each other: rank 0 listens, rank 1 connects, both prove the secret.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/file_descriptor.h"
#include "engine/base/log.h"
#include "engine/comm/peer_channel.h"
#include "engine/comm/peer_secret.h"
#include "engine/comm/secure_peer_channel.h"
#include "engine/comm/tcp.h"

namespace tandem::comm {

/// Counts changes of the peer messages and of this handshake. Ranks must have the same.
inline constexpr std::uint32_t kPeerProtocolVersion = 1;

/// What a rank brings to the meeting.
struct PeerCredentials {
  const PeerSecret* secret = nullptr;  // must outlive the call
  std::string engineVersion;
  PeerTimings timings;
};

/// A connected pair: the authenticated channel, and a plain socket for collectives that was opened
/// with a proof of the channel's handshake.
struct PeerConnection {
  std::unique_ptr<PeerChannel> channel;
  FileDescriptor data;
};

/// Rank 0's end of the peer port, open from construction to destruction.
class PeerListener {
 public:
  /// host     one address of this node: the cable's, or a loopback address
  /// port     0 for any free one
  /// Fails    as listenTcp()
  static Result<PeerListener> open(const std::string& host, std::uint16_t port);

  [[nodiscard]] std::uint16_t port() const;

  /// Waits for rank 1. Strangers are refused, logged and waited out: each holds the door for at
  /// most `timings.handshake`.
  /// Fails    Timeout when rank 1 did not come, with the last refusal; InvalidArgument when it
  ///          runs another version; Cancelled.
  Result<PeerConnection> accept(const PeerCredentials& credentials,
                                const WaitLimit& limit,
                                Logger& logger);

 private:
  explicit PeerListener(FileDescriptor socket)
      : socket_(std::move(socket)) {}

  FileDescriptor socket_;
};

/// Rank 1's side: tries until rank 0 listens.
/// Fails    Unavailable when nobody answers in time; PermissionDenied for another secret;
///          InvalidArgument for another version; Cancelled.
Result<PeerConnection> connectToRank0(const std::string& host,
                                      std::uint16_t port,
                                      const PeerCredentials& credentials,
                                      const WaitLimit& limit);

}  // namespace tandem::comm
