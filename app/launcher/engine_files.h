// SPDX-License-Identifier: GPL-3.0-or-later
// Where the engine's program and the demo model are, in a build tree and where it is installed.
#pragma once

#include <QString>

#include "engine/base/result.h"

namespace tandem::app {

/// `tandem-engine` beside the running program, else in PATH.
/// Fails    NotFound, with where it was looked for
Result<QString> findEngineProgram();

/// The folder of the demo model, seen from the running program.
/// Fails    NotFound, with where it was looked for
Result<QString> findDemoModel();

}  // namespace tandem::app
