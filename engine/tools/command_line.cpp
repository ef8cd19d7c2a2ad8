// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/command_line.h"

#include "engine/tools/command.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

std::optional<int> parseCommandLine(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    // CLI11 has a code for each kind of mistake; --help is its success.
    return app.exit(error) == static_cast<int>(CLI::ExitCodes::Success) ? kExitOk : kExitUsage;
  }
}

}  // namespace tandem::tools
