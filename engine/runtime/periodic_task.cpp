// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/periodic_task.h"

#include <utility>

#include "engine/base/thread_name.h"

namespace tandem::runtime {

PeriodicTask::PeriodicTask(const char* threadName,
                           std::chrono::milliseconds interval,
                           std::function<void()> task)
    : interval_(interval),
      task_(std::move(task)),
      thread_([this, threadName] { run(threadName); }) {}

PeriodicTask::~PeriodicTask() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_one();
  thread_.join();
}

void PeriodicTask::run(const char* threadName) {
  nameThisThread(threadName);
  // Counted from the start, so that the interval does not drift by the task's own time.
  auto due = std::chrono::steady_clock::now() + interval_;
  while (true) {
    {
      MutexLock lock(mutex_);
      while (!stopping_ && std::chrono::steady_clock::now() < due) {
        stopped_.wait_until(lock, due);
      }
      if (stopping_) {
        return;
      }
    }
    task_();
    due += interval_;
  }
}

}  // namespace tandem::runtime
