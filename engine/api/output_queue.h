// SPDX-License-Identifier: GPL-3.0-or-later
// The hand-over of one request's output from the engine thread to whoever serves its client.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "engine/api/request_output.h"
#include "engine/base/file_descriptor.h"
#include "engine/base/thread_annotations.h"

namespace tandem::api {

/// One producer (the engine thread), one consumer. A consumer that lags finds its tokens merged
/// into one piece, so the producer never waits and memory is bounded by the request's tokens.
class OutputQueue {
 public:
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<std::shared_ptr<OutputQueue>> create();

  /// Producer. Appends tokens and logprobs to what is waiting; the newest usage, timings and finish
  /// win.
  void push(RequestOutput output) TANDEM_EXCLUDES(mutex_);

  /// Consumer. What is waiting, or nothing. Clears readiness.
  [[nodiscard]] std::optional<RequestOutput> pop() TANDEM_EXCLUDES(mutex_);

  /// Consumer. As pop(), but blocks until something is there or `wait` has passed.
  [[nodiscard]] std::optional<RequestOutput> pop(std::chrono::milliseconds wait)
      TANDEM_EXCLUDES(mutex_);

  /// An eventfd that polls readable while something is waiting. Owned by the queue.
  [[nodiscard]] int readyFd() const { return event_.get(); }

 private:
  explicit OutputQueue(FileDescriptor event)
      : event_(std::move(event)) {}

  const FileDescriptor event_;
  Mutex mutex_;
  std::optional<RequestOutput> waiting_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::api
