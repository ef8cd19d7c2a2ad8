// SPDX-License-Identifier: GPL-3.0-or-later
// The bell that other threads ring when there is something for the control thread.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "engine/base/event_fd.h"
#include "engine/base/log.h"

namespace tandem::control {

/// Rung any number of times, heard once. Any thread rings; one thread listens.
class WakeUp {
 public:
  explicit WakeUp(EventFd event)
      : event_(std::move(event)) {}

  /// A system call only for the first ring since the last hear().
  void ring() {
    if (!rung_.exchange(true)) {
      event_.raise();
    }
  }

  /// Call before looking at what there is to do, so that nothing rung later is missed.
  void hear() {
    event_.clear();
    rung_ = false;
  }

  [[nodiscard]] int fd() const { return event_.fd(); }

 private:
  const EventFd event_;
  std::atomic<bool> rung_{false};
};

/// Rings for every record; the control thread takes the records from the logger's own ring. Holds
/// the bell with others, because a logger keeps its sinks for good.
class WakeUpSink final : public LogSink {
 public:
  explicit WakeUpSink(std::shared_ptr<WakeUp> wakeUp)
      : wakeUp_(std::move(wakeUp)) {}
  void write(const LogRecord& /*record*/) override { wakeUp_->ring(); }

 private:
  const std::shared_ptr<WakeUp> wakeUp_;
};

}  // namespace tandem::control
