// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/ready_set.h"

#include <fmt/core.h>
#include <sys/epoll.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tandem::server {

namespace {

Error cannotWatch() {
  return Error{ErrorCode::Unavailable,
               fmt::format("could not watch a request's choices: {}", std::strerror(errno)),
               "Raise the limit of open files (ulimit -n), or send fewer requests at once."};
}

}  // namespace

Result<ReadySet> ReadySet::create() {
  FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) {
    return cannotWatch();
  }
  return ReadySet(std::move(epoll));
}

Result<void> ReadySet::add(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return cannotWatch();
  }
  return {};
}

void ReadySet::remove(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

}  // namespace tandem::server
