// SPDX-License-Identifier: GPL-3.0-or-later
// The command line of tandemctl.
#pragma once

#include <optional>
#include <variant>

#include "app/cli/cli_options.h"

namespace tandem::cli {

enum class Action { Start, Status, Stop, Logs };

struct Command {
  Action action = Action::Status;
  CliOptions options;
};

/// A command, or the exit code after a help text, the version, or a mistake it has explained.
std::variant<Command, int> parseCommandLine(int argc, char** argv);

}  // namespace tandem::cli
