// SPDX-License-Identifier: GPL-3.0-or-later
// The network interfaces, from /sys/class/net, and the RDMA devices behind them.
#pragma once

#include "engine/api/node_report.h"
#include "engine/probe/fact_reader.h"

namespace tandem::probe {

/// Addresses come from the kernel, so only this machine's own tree has them.
[[nodiscard]] api::NicFacts readNicFacts(const FactReader& reader);

}  // namespace tandem::probe
