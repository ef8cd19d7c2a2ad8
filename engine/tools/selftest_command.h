// SPDX-License-Identifier: GPL-3.0-or-later
// `tandem-engine selftest`: every case of every operator on one back end.
#pragma once

namespace tandem::tools {

int selftestCommand(int argc, char** argv);

}  // namespace tandem::tools
