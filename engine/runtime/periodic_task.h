// SPDX-License-Identifier: GPL-3.0-or-later
// Does something again and again on its own thread until it is destroyed.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "engine/base/thread_annotations.h"

namespace tandem::runtime {

/// Owns its thread. The task runs once per interval, first after one interval.
class PeriodicTask {
 public:
  /// threadName   at most 15 characters
  PeriodicTask(const char* threadName,
               std::chrono::milliseconds interval,
               std::function<void()> task);
  ~PeriodicTask();
  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

 private:
  void run(const char* threadName) TANDEM_EXCLUDES(mutex_);

  const std::chrono::milliseconds interval_;
  const std::function<void()> task_;
  Mutex mutex_;
  Condition stopped_;
  bool stopping_ TANDEM_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tandem::runtime
