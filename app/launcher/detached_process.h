// SPDX-License-Identifier: GPL-3.0-or-later
// Starts a program that outlives this one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/launcher/process_identity.h"
#include "engine/base/result.h"

namespace tandem::app {

struct DetachedProgram {
  std::string program;                 // path
  std::vector<std::string> arguments;  // without the program
  int outputFd = -1;                   // gets stdout and stderr; stays the caller's
};

/// Starts it in a session of its own (no terminal, no Ctrl+C of ours), with /dev/null to read from,
/// no descriptor of ours, default signals, in "/". Called from the main thread: a child until this
/// process ends, so that whoever watches it learns how it ended.
///
/// `record` gets its identity before the program begins: if it fails, or this process dies first,
/// the program never runs.
///
/// Fails    NotFound, PermissionDenied, Unavailable when it cannot be run; what `record` fails with
Result<ProcessIdentity> startDetached(
    const DetachedProgram& program,
    const std::function<Result<void>(const ProcessIdentity&)>& record);

}  // namespace tandem::app
