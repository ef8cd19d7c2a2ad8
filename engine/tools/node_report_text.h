// SPDX-License-Identifier: GPL-3.0-or-later
// A node report as a short table for people.
#pragma once

#include <string>

#include "engine/api/node_report.h"

namespace tandem::tools {

/// Lines of a label and its facts, the last one ended too. What is unknown is said to be.
[[nodiscard]] std::string nodeReportText(const api::NodeReport& report);

}  // namespace tandem::tools
