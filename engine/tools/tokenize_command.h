// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine tokenize: texts to token ids.
#pragma once

namespace tandem::tools {

int tokenizeCommand(int argc, char** argv);

}  // namespace tandem::tools
