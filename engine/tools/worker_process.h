// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 1 as a process: finds rank 0, loads what it is told, follows its plans.
#pragma once

#include "engine/api/engine_config.h"
#include "engine/tools/model_factory.h"

namespace tandem::tools {

/// Log lines always go to rank 0 once it is reached; a worker on another host also keeps its own.
enum class WorkerLog { Stderr, RelayedOnly };

/// Uses `config.modelFolder` and `config.peer`; the rest comes from rank 0. Runs until rank 0 says
/// goodbye or a stop signal comes (kExitOk), or something fails (one line on stderr, kExitFatal).
/// Call from the main thread before any other thread exists.
int runWorker(const api::EngineConfig& config, WorkerLog log, const ModelFactory& loadModel);

}  // namespace tandem::tools
