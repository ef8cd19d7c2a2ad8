// SPDX-License-Identifier: GPL-3.0-or-later
// The RDMA devices, from /sys/class/infiniband: ports, their state and their addresses.
#pragma once

#include <vector>

#include "engine/api/node_report.h"
#include "engine/probe/fact_reader.h"

namespace tandem::probe {

/// Uses no verbs, so it answers without rdma-core, too.
[[nodiscard]] std::vector<api::RdmaDevice> readRdmaDevices(const FactReader& reader);

}  // namespace tandem::probe
