// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/peer_frame.h"

#include <fmt/core.h>

#include "engine/base/wire.h"

namespace tandem::comm {

namespace {

constexpr std::size_t kHeaderBytes = 6;

}  // namespace

std::vector<std::byte> encodeFrame(std::uint16_t type, std::span<const std::byte> payload) {
  ByteWriter frame;
  frame.number(static_cast<std::uint32_t>(payload.size()));
  frame.number(type);
  frame.raw(payload);
  return std::move(frame).take();
}

std::vector<std::byte> encodeGoodbye(const std::optional<Error>& reason) {
  ByteWriter writer;
  if (reason) {
    writer.text(reason->message);
    writer.text(reason->remedy);
  }
  return std::move(writer).take();
}

std::optional<Error> decodeGoodbye(std::span<const std::byte> payload) {
  if (payload.empty()) {
    return std::nullopt;
  }
  ByteReader reader(payload);
  Error reason{ErrorCode::Unavailable, reader.text(), reader.text()};
  if (const Result<void> whole = reader.finish("goodbye"); !whole) {
    return whole.error();
  }
  return reason;
}

Error goodbyeError(int from, const std::optional<Error>& reason) {
  if (!reason) {
    return Error{ErrorCode::Cancelled, fmt::format("rank {} has ended in order", from), ""};
  }
  return Error{ErrorCode::Unavailable,
               fmt::format("rank {} gave up: {}", from, reason->message),
               reason->remedy};
}

void FrameParser::feed(std::span<const std::byte> bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<PeerMessage>> FrameParser::next() {
  if (buffer_.size() < kHeaderBytes) {
    return std::optional<PeerMessage>();
  }
  ByteReader reader(buffer_);
  const auto length = reader.number<std::uint32_t>();
  const auto type = reader.number<std::uint16_t>();
  if (length > kMaxFramePayload) {
    return Error{
        ErrorCode::DataCorrupt,
        fmt::format("a peer message claims {} bytes; the limit is {}", length, kMaxFramePayload),
        "Run the same version of Tandem on both nodes."};
  }
  if (reader.remaining() < length) {
    return std::optional<PeerMessage>();
  }
  const std::span<const std::byte> payload = reader.raw(length);
  PeerMessage message{type, {payload.begin(), payload.end()}};
  buffer_.erase(buffer_.begin(),
                buffer_.begin() + static_cast<std::ptrdiff_t>(kHeaderBytes + length));
  return std::optional<PeerMessage>(std::move(message));
}

}  // namespace tandem::comm
