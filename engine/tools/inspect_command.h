// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine inspect: what a checkpoint is, whether its files fit, and what each rank holds.
#pragma once

namespace tandem::tools {

int inspectCommand(int argc, char** argv);

}  // namespace tandem::tools
