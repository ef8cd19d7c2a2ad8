// SPDX-License-Identifier: GPL-3.0-or-later
// One look at a machine: every concern read once, in bounded time, without changing anything.
#pragma once

#include <filesystem>
#include <optional>

#include "engine/api/node_report.h"
#include "engine/probe/sys_root.h"

namespace tandem::probe {

/// `libraries` is as for readGpuFacts.
[[nodiscard]] api::NodeReport probeNode(const SysRoot& root,
                                        const std::optional<std::filesystem::path>& libraries);

}  // namespace tandem::probe
