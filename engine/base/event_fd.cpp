// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/event_fd.h"

#include <fmt/core.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace tandem {

Result<EventFd> EventFd::create() {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("could not make an eventfd: {}", std::strerror(errno)),
                 "Raise the limit of open files (ulimit -n)."};
  }
  return EventFd(std::move(event));
}

void EventFd::raise() const {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then it is raised already.
  [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
}

void EventFd::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read = ::read(event_.get(), &count, sizeof count);
}

}  // namespace tandem
