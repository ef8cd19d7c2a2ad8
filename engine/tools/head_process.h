// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 0 as a process: brings an engine up, serves, and takes it down in order.
#pragma once

#include "engine/api/engine_config.h"
#include "engine/tools/model_factory.h"

namespace tandem::tools {

/// Runs until SIGTERM, SIGINT or a `stop` on the control socket (drains, exits with kExitOk) or a
/// fatal error (one line on stderr, kExitFatal). Call from the main thread before any other thread
/// exists.
int runHead(const api::EngineConfig& config, const ModelFactory& loadModel);

}  // namespace tandem::tools
