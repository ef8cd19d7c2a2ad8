// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine score: the logits of given tokens, for comparison with the oracle.
#pragma once

namespace tandem::tools {

int scoreCommand(int argc, char** argv);

}  // namespace tandem::tools
