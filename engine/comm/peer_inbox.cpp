// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/peer_inbox.h"

#include <utility>

namespace tandem::comm {

void PeerInbox::push(PeerMessage message) {
  {
    const MutexLock lock(mutex_);
    messages_.push_back(std::move(message));
  }
  changed_.notify_one();
}

void PeerInbox::close(Error reason) {
  {
    const MutexLock lock(mutex_);
    health_->fail(std::move(reason));
  }
  changed_.notify_one();
}

Result<std::optional<PeerMessage>> PeerInbox::pop(std::chrono::milliseconds wait) {
  MutexLock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + wait;
  while (messages_.empty()) {
    if (health_->failed()) {
      return health_->failure().value();
    }
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout && messages_.empty()) {
      return std::optional<PeerMessage>();
    }
  }
  std::optional<PeerMessage> message(std::move(messages_.front()));
  messages_.pop_front();
  return message;
}

}  // namespace tandem::comm
