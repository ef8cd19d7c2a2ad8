// SPDX-License-Identifier: GPL-3.0-or-later
// One descriptor to wait on for several.
#pragma once

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::server {

/// Descriptors are watched, not owned. One thread at a time.
class ReadySet {
 public:
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<ReadySet> create();

  /// `fd` must be removed before it is closed, or outlive the set. Fails with Unavailable when the
  /// system can watch no more.
  Result<void> add(int fd);
  void remove(int fd);

  /// Polls readable while one of the set does.
  [[nodiscard]] int fd() const { return epoll_.get(); }

 private:
  explicit ReadySet(FileDescriptor epoll)
      : epoll_(std::move(epoll)) {}

  FileDescriptor epoll_;
};

}  // namespace tandem::server
