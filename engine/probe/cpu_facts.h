// SPDX-License-Identifier: GPL-3.0-or-later
// The processors: what they are called, how many there are, what they can do.
#pragma once

#include "engine/api/node_report.h"
#include "engine/probe/fact_reader.h"

namespace tandem::probe {

[[nodiscard]] api::CpuFacts readCpuFacts(const FactReader& reader);

}  // namespace tandem::probe
