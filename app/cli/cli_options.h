// SPDX-License-Identifier: GPL-3.0-or-later
// What the command line of tandemctl says, and what its exit codes mean.
#pragma once

#include "app/launcher/local_engine_host.h"

namespace tandem::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;      // stderr says why and what to do
inline constexpr int kExitUsage = 2;       // the command line is wrong
inline constexpr int kExitNotRunning = 3;  // status: no engine runs

struct CliOptions {
  app::LocalEngineOptions engine;
  bool demo = true;  // there is no other kind of cluster yet
  bool json = false;
  bool wait = true;     // start: until the engine is ready
  bool follow = false;  // logs
  bool force = false;   // stop
};

}  // namespace tandem::cli
