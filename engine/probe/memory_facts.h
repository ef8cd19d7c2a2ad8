// SPDX-License-Identifier: GPL-3.0-or-later
// The memory of the host, from /proc/meminfo.
#pragma once

#include "engine/api/node_report.h"
#include "engine/probe/fact_reader.h"

namespace tandem::probe {

[[nodiscard]] api::MemoryFacts readMemoryFacts(const FactReader& reader);

}  // namespace tandem::probe
