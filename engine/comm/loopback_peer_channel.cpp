// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/loopback_peer_channel.h"

#include <fmt/core.h>

#include <utility>

#include "engine/comm/peer_frame.h"
#include "engine/comm/peer_inbox.h"

namespace tandem::comm {

namespace {

/// What one end owns and the other end writes to.
struct Mailbox {
  explicit Mailbox(std::shared_ptr<PeerHealth> ownersHealth)
      : health(std::move(ownersHealth)),
        inbox(health) {}

  const std::shared_ptr<PeerHealth> health;  // of the peer, as the owner sees it
  PeerInbox inbox;
};

class LoopbackPeerChannel final : public PeerChannel {
 public:
  LoopbackPeerChannel(int rank,
                      std::uint64_t epoch,
                      std::shared_ptr<Mailbox> mine,
                      std::shared_ptr<Mailbox> theirs)
      : rank_(rank),
        epoch_(epoch),
        mine_(std::move(mine)),
        theirs_(std::move(theirs)) {}
  LoopbackPeerChannel(const LoopbackPeerChannel&) = delete;
  LoopbackPeerChannel& operator=(const LoopbackPeerChannel&) = delete;

  ~LoopbackPeerChannel() override {
    theirs_->inbox.close(Error{ErrorCode::Unavailable, fmt::format("rank {} is gone", rank_), ""});
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] std::uint64_t epoch() const override { return epoch_; }
  [[nodiscard]] std::chrono::nanoseconds clockOffset() const override { return {}; }

  Result<void> send(std::uint16_t type, std::span<const std::byte> payload) override {
    if (const std::optional<Error> lost = mine_->health->failure()) {
      return *lost;
    }
    theirs_->inbox.push(PeerMessage{type, {payload.begin(), payload.end()}});
    return {};
  }

  Result<std::optional<PeerMessage>> receive(std::chrono::milliseconds wait) override {
    return mine_->inbox.pop(wait);
  }

  void goodbye(const std::optional<Error>& reason) override {
    theirs_->inbox.close(goodbyeError(rank_, reason));
  }

  [[nodiscard]] std::shared_ptr<PeerHealth> health() const override { return mine_->health; }

 private:
  const int rank_;
  const std::uint64_t epoch_;
  const std::shared_ptr<Mailbox> mine_;
  const std::shared_ptr<Mailbox> theirs_;
};

}  // namespace

Result<std::array<std::unique_ptr<PeerChannel>, 2>> makeLoopbackPeerChannels(std::uint64_t epoch) {
  Result<std::shared_ptr<PeerHealth>> first = PeerHealth::create();
  Result<std::shared_ptr<PeerHealth>> second = PeerHealth::create();
  if (!first || !second) {
    return first ? second.error() : first.error();
  }
  const auto mailbox0 = std::make_shared<Mailbox>(*first);
  const auto mailbox1 = std::make_shared<Mailbox>(*second);
  std::array<std::unique_ptr<PeerChannel>, 2> ends{
      std::make_unique<LoopbackPeerChannel>(0, epoch, mailbox0, mailbox1),
      std::make_unique<LoopbackPeerChannel>(1, epoch, mailbox1, mailbox0)};
  return ends;
}

}  // namespace tandem::comm
