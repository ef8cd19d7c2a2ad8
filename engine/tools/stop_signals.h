// SPDX-License-Identifier: GPL-3.0-or-later
// SIGTERM and SIGINT as a descriptor that can be polled, instead of handlers.
#pragma once

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::tools {

/// Blocks both signals in the calling thread and in those it starts later: make it first in main.
class StopSignals {
 public:
  /// Fails with Unavailable when the process is out of file descriptors.
  static Result<StopSignals> create();

  /// Polls readable while a signal is pending.
  [[nodiscard]] int fd() const { return signals_.get(); }

  [[nodiscard]] bool pending() const;

  /// Takes the pending signal and gives its name, "SIGTERM" or "SIGINT".
  [[nodiscard]] const char* take() const;

 private:
  explicit StopSignals(FileDescriptor signals)
      : signals_(std::move(signals)) {}

  FileDescriptor signals_;
};

}  // namespace tandem::tools
