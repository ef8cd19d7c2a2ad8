// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/secure_peer_channel.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/thread_name.h"

namespace tandem::comm {

Result<std::unique_ptr<PeerChannel>> SecurePeerChannel::create(std::unique_ptr<TlsStream> stream,
                                                               FrameParser parser,
                                                               const PeerIdentity& identity,
                                                               const PeerTimings& timings) {
  Result<std::shared_ptr<PeerHealth>> health = PeerHealth::create();
  Result<EventFd> stop = EventFd::create();
  if (!health || !stop) {
    return health ? stop.error() : health.error();
  }
  return std::unique_ptr<PeerChannel>(new SecurePeerChannel(std::move(stream),
                                                            std::move(parser),
                                                            identity,
                                                            timings,
                                                            *health,
                                                            *std::move(stop)));
}

SecurePeerChannel::SecurePeerChannel(std::unique_ptr<TlsStream> stream,
                                     FrameParser parser,
                                     const PeerIdentity& identity,
                                     const PeerTimings& timings,
                                     std::shared_ptr<PeerHealth> health,
                                     EventFd stop)
    : stream_(std::move(stream)),
      parser_(std::move(parser)),
      identity_(identity),
      timings_(timings),
      health_(std::move(health)),
      inbox_(health_),
      stop_(std::move(stop)),
      thread_([this] { watch(); }) {}

SecurePeerChannel::~SecurePeerChannel() {
  stop_.raise();
  thread_.join();
}

Result<void> SecurePeerChannel::send(std::uint16_t type, std::span<const std::byte> payload) {
  if (const std::optional<Error> lost = health_->failure()) {
    return *lost;
  }
  const WaitLimit limit{std::chrono::steady_clock::now() + timings_.lostAfter, health_->failedFd()};
  const Result<void> sent = stream_->write(encodeFrame(type, payload), limit);
  if (!sent) {
    inbox_.close(sent.error().within(fmt::format("rank {} is lost", peerRank())));
    return health_->failure().value();
  }
  return {};
}

Result<std::optional<PeerMessage>> SecurePeerChannel::receive(std::chrono::milliseconds wait) {
  return inbox_.pop(wait);
}

void SecurePeerChannel::goodbye(const std::optional<Error>& reason) {
  // If the peer is gone already there is nobody to take leave of.
  [[maybe_unused]] const Result<void> sent = send(frame_type::kGoodbye, encodeGoodbye(reason));
}

void SecurePeerChannel::watch() {
  nameThisThread("peer");
  MonotonicTime lastHeard = std::chrono::steady_clock::now();
  MonotonicTime nextBeat = lastHeard;
  Result<void> fine = dispatch();
  while (fine && !goodbye_) {
    const MonotonicTime wake = std::min(nextBeat, lastHeard + timings_.lostAfter);
    const Result<void> arrived = waitFor(stream_->socket(), POLLIN, WaitLimit{wake, stop_.fd()});
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (arrived) {
      lastHeard = now;
      fine = readArrived();
    } else if (arrived.error().code == ErrorCode::Cancelled) {
      return;
    } else if (now >= lastHeard + timings_.lostAfter) {
      fine = Error{ErrorCode::Unavailable,
                   fmt::format("not heard from for {} ms", timings_.lostAfter.count()),
                   "Check that node and the cable."};
    }
    if (fine && now >= nextBeat) {
      nextBeat = now + timings_.heartbeat;
      fine = stream_->write(encodeFrame(frame_type::kHeartbeat, {}),
                            WaitLimit{now + timings_.lostAfter, stop_.fd()});
    }
  }
  if (goodbye_) {
    inbox_.close(*goodbye_);
    return;
  }
  const Error& reason = fine.error();
  inbox_.close(Error{ErrorCode::Unavailable,
                     fmt::format("rank {} is lost: {}", peerRank(), reason.message),
                     reason.remedy.empty() ? "Its own log says why." : reason.remedy});
}

Result<void> SecurePeerChannel::readArrived() {
  std::array<std::byte, 16384> bytes{};
  while (true) {
    const Result<std::size_t> count = stream_->readSome(bytes);
    if (!count) {
      return count.error();
    }
    if (*count == 0 || goodbye_) {
      return {};
    }
    parser_.feed(std::span(bytes).first(*count));
    if (const Result<void> done = dispatch(); !done) {
      return done;
    }
  }
}

Result<void> SecurePeerChannel::dispatch() {
  while (true) {
    Result<std::optional<PeerMessage>> message = parser_.next();
    if (!message) {
      return message.error();
    }
    if (!message->has_value()) {
      return {};
    }
    if ((*message)->type >= PeerMessage::kFirstFreeType) {
      inbox_.push(std::move(**message));
    } else if ((*message)->type == frame_type::kGoodbye) {
      goodbye_ = goodbyeError(peerRank(), decodeGoodbye((*message)->payload));
      return {};
    }
  }
}

}  // namespace tandem::comm
