// SPDX-License-Identifier: GPL-3.0-or-later
// Which process a number stands for, so that a number given to another program is never taken for
// it.
#pragma once

#include <cstdint>
#include <optional>

#include <QString>

#include "engine/base/file_descriptor.h"

namespace tandem::app {

/// A process of this host since its boot: a pid alone comes back.
struct ProcessIdentity {
  std::int64_t pid = 0;
  std::uint64_t startTicks = 0;  // after boot, field 22 of /proc/PID/stat
  QString boot;                  // /proc/sys/kernel/random/boot_id

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

/// Nothing when no process has this number, or one that has ended and was not waited for yet.
[[nodiscard]] std::optional<ProcessIdentity> identifyProcess(std::int64_t pid);

/// A pidfd of exactly this process; invalid when it is gone.
[[nodiscard]] FileDescriptor openProcess(const ProcessIdentity& process);

}  // namespace tandem::app
