// SPDX-License-Identifier: GPL-3.0-or-later
// Parses a command's options with the exit codes that every command promises.
#pragma once

#include <optional>

namespace CLI {  // NOLINT(readability-identifier-naming): a library's
class App;
}

namespace tandem::tools {

/// Nothing when the command should run; otherwise its exit code: kExitOk after --help, kExitUsage
/// for a wrong command line, which it has explained on stderr.
std::optional<int> parseCommandLine(CLI::App& app, int argc, char** argv);

}  // namespace tandem::tools
