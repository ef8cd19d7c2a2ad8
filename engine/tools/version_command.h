// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine version: what this binary is.
#pragma once

namespace tandem::tools {

int versionCommand(int argc, char** argv);

}  // namespace tandem::tools
