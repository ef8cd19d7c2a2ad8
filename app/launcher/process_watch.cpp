// SPDX-License-Identifier: GPL-3.0-or-later
// A pidfd polls readable when its process ends.
#include "app/launcher/process_watch.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tandem::app {

ProcessWatch::ProcessWatch(QObject* parent)
    : QObject(parent) {}

ProcessWatch::~ProcessWatch() = default;

bool ProcessWatch::watch(std::int64_t pid) {
  stop();
  process_ =
      FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (!process_.valid()) {
    return false;
  }
  notifier_ = std::make_unique<QSocketNotifier>(process_.get(), QSocketNotifier::Read);
  connect(notifier_.get(), &QSocketNotifier::activated, this, &ProcessWatch::end);
  return true;
}

void ProcessWatch::stop() {
  if (notifier_) {
    notifier_->setEnabled(false);
    // This may be inside its signal.
    notifier_.release()->deleteLater();
  }
  process_.reset();
}

void ProcessWatch::end() {
  QString how;
  siginfo_t info{};
  // A child is taken off the kernel's table here; for others this fails and nothing is known.
  if (::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED | WNOHANG) == 0 &&
      info.si_pid != 0) {
    how = info.si_code == CLD_EXITED ? tr("exit code %1").arg(info.si_status)
                                     : tr("signal %1").arg(info.si_status);
  }
  stop();
  emit ended(how);
}

}  // namespace tandem::app
