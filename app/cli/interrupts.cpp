// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/interrupts.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/signalfd.h>
#include <unistd.h>

namespace tandem::cli {

namespace {

FileDescriptor blockAndWatch() {
  sigset_t asked;
  sigemptyset(&asked);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&asked, signal);
  }
  ::sigprocmask(SIG_BLOCK, &asked, nullptr);
  return FileDescriptor(::signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

Interrupts::Interrupts()
    : signals_(blockAndWatch()),
      notifier_(signals_.get(), QSocketNotifier::Read) {
  connect(&notifier_, &QSocketNotifier::activated, this, &Interrupts::take);
}

void Interrupts::take() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    emit interrupted();
  }
}

}  // namespace tandem::cli
