// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/peer_health.h"

#include <poll.h>

#include <utility>

namespace tandem::comm {

Result<std::shared_ptr<PeerHealth>> PeerHealth::create() {
  Result<EventFd> event = EventFd::create();
  if (!event) {
    return event.error();
  }
  return std::shared_ptr<PeerHealth>(new PeerHealth(*std::move(event)));
}

void PeerHealth::fail(Error reason) {
  {
    const MutexLock lock(mutex_);
    if (reason_) {
      return;
    }
    reason_ = std::move(reason);
  }
  failed_.store(true, std::memory_order_release);
  event_.raise();
}

Error PeerHealth::explain(const Error& failure) const {
  if (failure.code != ErrorCode::Unavailable) {
    return failure;
  }
  constexpr int kPatienceMs = 500;
  pollfd entry{failedFd(), POLLIN, 0};
  ::poll(&entry, 1, kPatienceMs);
  return this->failure().value_or(failure);
}

std::optional<Error> PeerHealth::failure() const {
  const MutexLock lock(mutex_);
  return reason_;
}

}  // namespace tandem::comm
