// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/stop_signals.h"

#include <fmt/core.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tandem::tools {

Result<StopSignals> StopSignals::create() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  FileDescriptor signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("could not make a signalfd: {}", std::strerror(errno)),
                 "Raise the limit of open files (ulimit -n)."};
  }
  return StopSignals(std::move(signals));
}

bool StopSignals::pending() const {
  pollfd entry{signals_.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

const char* StopSignals::take() const {
  signalfd_siginfo info{};
  [[maybe_unused]] const ssize_t count = ::read(signals_.get(), &info, sizeof info);
  return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
}

}  // namespace tandem::tools
