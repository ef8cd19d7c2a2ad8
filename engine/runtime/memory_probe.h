// SPDX-License-Identifier: GPL-3.0-or-later
// Memory of this process and this host, as the kernel counts it.
#pragma once

#include <filesystem>

#include "engine/api/engine_stats.h"

namespace tandem::runtime {

/// Fills processBytes and the host's bytes from `proc`/self/statm and `proc`/meminfo; a file that
/// cannot be read leaves zeros, which the dashboard shows as "unknown". A host that has nothing
/// left reads as 1 KiB, so that it is not taken for one.
void readMemory(api::RankMemory& memory, const std::filesystem::path& proc = "/proc");

}  // namespace tandem::runtime
