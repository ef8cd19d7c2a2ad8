// SPDX-License-Identifier: GPL-3.0-or-later
// A flag between threads that poll() can wait for.
#pragma once

#include <utility>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem {

/// Owns an eventfd. raise() and clear() are safe from any thread, raise() also from a signal
/// handler.
class EventFd {
 public:
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<EventFd> create();

  void raise() const;
  void clear() const;

  /// Polls readable while raised. Owned by this object.
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  explicit EventFd(FileDescriptor event)
      : event_(std::move(event)) {}

  FileDescriptor event_;
};

}  // namespace tandem
