// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine probe: what this machine is, for people or as JSON; changes nothing.
#pragma once

namespace tandem::tools {

int probeCommand(int argc, char** argv);

}  // namespace tandem::tools
