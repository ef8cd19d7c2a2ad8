// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/version.h"

namespace tandem::tools {

const char* const kVersion = TANDEM_VERSION;

}  // namespace tandem::tools
