// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine worker: rank 1, told only the model folder, where rank 0 is, and their secret.
#pragma once

namespace tandem::tools {

int workerCommand(int argc, char** argv);

}  // namespace tandem::tools
