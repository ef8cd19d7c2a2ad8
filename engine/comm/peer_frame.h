// SPDX-License-Identifier: GPL-3.0-or-later
// How messages lie on the peer channel's byte stream: length u32 · type u16 · payload.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/comm/peer_channel.h"

namespace tandem::comm {

/// Types below PeerMessage::kFirstFreeType belong to the channel itself.
namespace frame_type {
inline constexpr std::uint16_t kHeartbeat = 0;
inline constexpr std::uint16_t kGoodbye = 1;  // nothing, or why: message text, remedy text
inline constexpr std::uint16_t kJoin = 2;     // rank 1: protocol version u32, engine version text
inline constexpr std::uint16_t kWelcome = 3;  // rank 0: the same, epoch u64
inline constexpr std::uint16_t kAck = 4;      // rank 1: its monotonic clock i64, nanoseconds
}  // namespace frame_type

/// A plan of a whole context of tokens fits; nothing honest is longer.
inline constexpr std::size_t kMaxFramePayload = 16U << 20U;

[[nodiscard]] std::vector<std::byte> encodeFrame(std::uint16_t type,
                                                 std::span<const std::byte> payload);

/// The payload of a goodbye, and what it means to the rank that receives it from rank `from`:
/// Cancelled for an orderly end, else Unavailable "rank 1 gave up: …".
[[nodiscard]] std::vector<std::byte> encodeGoodbye(const std::optional<Error>& reason);
[[nodiscard]] std::optional<Error> decodeGoodbye(std::span<const std::byte> payload);
[[nodiscard]] Error goodbyeError(int from, const std::optional<Error>& reason);

/// Cuts a byte stream into messages.
class FrameParser {
 public:
  void feed(std::span<const std::byte> bytes);

  /// The next whole message, or nothing yet. Fails with DataCorrupt for a length over the limit.
  Result<std::optional<PeerMessage>> next();

 private:
  std::vector<std::byte> buffer_;
};

}  // namespace tandem::comm
