// SPDX-License-Identifier: GPL-3.0-or-later
// Everything that can ask an engine process to end, as one descriptor that can be polled.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/event_fd.h"
#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"
#include "engine/base/thread_annotations.h"
#include "engine/tools/stop_signals.h"

namespace tandem::tools {

struct StopRequest {
  std::string who;                     // "SIGTERM", or a client of the control socket
  std::optional<double> drainSeconds;  // how long open answers may go on; none: the default
};

/// SIGTERM, SIGINT and ask(). Make it first in main, as StopSignals.
class StopRequests {
 public:
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<std::unique_ptr<StopRequests>> create();

  /// Any thread; does not wait.
  void ask(StopRequest request) TANDEM_EXCLUDES(mutex_);

  /// Polls readable while a request is pending.
  [[nodiscard]] int fd() const { return either_.get(); }

  [[nodiscard]] bool pending() const;

  /// Takes the oldest pending request.
  [[nodiscard]] std::optional<StopRequest> take() TANDEM_EXCLUDES(mutex_);

 private:
  StopRequests(StopSignals signals, EventFd asked, FileDescriptor either)
      : signals_(std::move(signals)),
        asked_(std::move(asked)),
        either_(std::move(either)) {}

  const StopSignals signals_;
  const EventFd asked_;
  const FileDescriptor either_;  // an epoll of the two
  Mutex mutex_;
  std::deque<StopRequest> requests_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::tools
