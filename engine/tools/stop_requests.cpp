// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/stop_requests.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

namespace tandem::tools {

Result<std::unique_ptr<StopRequests>> StopRequests::create() {
  Result<StopSignals> signals = StopSignals::create();
  if (!signals) {
    return signals.error();
  }
  Result<EventFd> asked = EventFd::create();
  if (!asked) {
    return asked.error();
  }
  FileDescriptor either(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event readable{};
  readable.events = EPOLLIN;
  if (!either.valid() || ::epoll_ctl(either.get(), EPOLL_CTL_ADD, signals->fd(), &readable) != 0 ||
      ::epoll_ctl(either.get(), EPOLL_CTL_ADD, asked->fd(), &readable) != 0) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("could not make an epoll: {}", std::strerror(errno)),
                 "Raise the limit of open files (ulimit -n)."};
  }
  return std::unique_ptr<StopRequests>(
      new StopRequests(*std::move(signals), *std::move(asked), std::move(either)));
}

void StopRequests::ask(StopRequest request) {
  const MutexLock lock(mutex_);
  requests_.push_back(std::move(request));
  asked_.raise();
}

bool StopRequests::pending() const {
  pollfd entry{fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

std::optional<StopRequest> StopRequests::take() {
  {
    const MutexLock lock(mutex_);
    if (!requests_.empty()) {
      StopRequest request = std::move(requests_.front());
      requests_.pop_front();
      if (requests_.empty()) {
        asked_.clear();
      }
      return request;
    }
  }
  if (signals_.pending()) {
    return StopRequest{signals_.take(), std::nullopt};
  }
  return std::nullopt;
}

}  // namespace tandem::tools
