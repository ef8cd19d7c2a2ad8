// SPDX-License-Identifier: GPL-3.0-or-later
// The shared verdict on the other rank: alive, or lost and why.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "engine/base/event_fd.h"
#include "engine/base/result.h"
#include "engine/base/thread_annotations.h"

namespace tandem::comm {

/// Set once by whoever notices first that the peer is gone, read by everyone who waits for it:
/// a collective must not outlive the heartbeat. Any thread.
class PeerHealth {
 public:
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<std::shared_ptr<PeerHealth>> create();

  /// The first reason stays.
  void fail(Error reason) TANDEM_EXCLUDES(mutex_);

  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_acquire); }
  [[nodiscard]] std::optional<Error> failure() const TANDEM_EXCLUDES(mutex_);

  /// The better explanation of an Unavailable: a collective sees only that its connection is gone,
  /// and the peer channel may be about to say why. Waits up to half a second for it.
  [[nodiscard]] Error explain(const Error& failure) const TANDEM_EXCLUDES(mutex_);

  /// Polls readable from the failure on.
  [[nodiscard]] int failedFd() const { return event_.fd(); }

 private:
  explicit PeerHealth(EventFd event)
      : event_(std::move(event)) {}

  const EventFd event_;
  std::atomic<bool> failed_{false};
  mutable Mutex mutex_;
  std::optional<Error> reason_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem::comm
