// SPDX-License-Identifier: GPL-3.0-or-later
// The version of this build, as CMake's project() states it.
#pragma once

namespace tandem::tools {

extern const char* const kVersion;

}  // namespace tandem::tools
