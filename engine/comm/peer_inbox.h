// SPDX-License-Identifier: GPL-3.0-or-later
// Messages that have arrived from the other rank and wait for their reader.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>

#include "engine/base/thread_annotations.h"
#include "engine/comm/peer_channel.h"

namespace tandem::comm {

/// One producer, one consumer. Ends when the peer's health fails.
class PeerInbox {
 public:
  explicit PeerInbox(std::shared_ptr<PeerHealth> health)
      : health_(std::move(health)) {}

  void push(PeerMessage message) TANDEM_EXCLUDES(mutex_);

  /// Fails the health with `reason` and wakes the consumer.
  void close(Error reason) TANDEM_EXCLUDES(mutex_);

  /// As PeerChannel::receive().
  Result<std::optional<PeerMessage>> pop(std::chrono::milliseconds wait) TANDEM_EXCLUDES(mutex_);

 private:
  const std::shared_ptr<PeerHealth> health_;
  Mutex mutex_;
  Condition changed_;
  std::deque<PeerMessage> messages_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::comm
