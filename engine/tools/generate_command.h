// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine generate: continues given tokens, without a server.
#pragma once

namespace tandem::tools {

int generateCommand(int argc, char** argv);

}  // namespace tandem::tools
