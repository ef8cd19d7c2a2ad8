// SPDX-License-Identifier: GPL-3.0-or-later
// The command `tandem-engine bench serving`: batches, drafts and kept prefixes, measured in pairs.
#pragma once

namespace tandem::tools {

int benchServing(int argc, char** argv);

}  // namespace tandem::tools
