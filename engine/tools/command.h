// SPDX-License-Identifier: GPL-3.0-or-later
// The subcommands of tandem-engine: one function each, one file each, listed in engine/main.cpp.
#pragma once

namespace tandem::tools {

/// Exit codes every subcommand uses.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // it ran and failed; stderr says why and what to do
inline constexpr int kExitUsage = 2;   // the command line is wrong
inline constexpr int kExitFatal = 75;  // a serving engine died: systemd may restart it

/// A subcommand gets argv from its own name on (argv[0] is "score") and returns an exit code.
using Command = int (*)(int argc, char** argv);

}  // namespace tandem::tools
