// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/version_command.h"

#include <fmt/core.h>

#include "engine/tools/command.h"
#include "engine/tools/version.h"

namespace tandem::tools {

int versionCommand(int /*argc*/, char** /*argv*/) {
  fmt::print("tandem-engine {}\n", kVersion);
  return kExitOk;
}

}  // namespace tandem::tools
