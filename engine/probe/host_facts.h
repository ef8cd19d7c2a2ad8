// SPDX-License-Identifier: GPL-3.0-or-later
// Which machine this is, and what runs on it.
#pragma once

#include "engine/api/node_report.h"
#include "engine/probe/fact_reader.h"

namespace tandem::probe {

[[nodiscard]] api::HostFacts readHostFacts(const FactReader& reader);

}  // namespace tandem::probe
