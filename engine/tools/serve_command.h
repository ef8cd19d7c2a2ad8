// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine serve: rank 0, the engine that answers over HTTP.
#pragma once

namespace tandem::tools {

int serveCommand(int argc, char** argv);

}  // namespace tandem::tools
