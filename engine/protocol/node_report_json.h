// SPDX-License-Identifier: GPL-3.0-or-later
// A node report as JSON: what `tandem-engine probe --json` prints and the panel reads.
#pragma once

#include <string>
#include <string_view>

#include "engine/api/node_report.h"
#include "engine/base/result.h"

namespace tandem::protocol {

/// Raised when a field changes its meaning or goes. New fields do not raise it: a reader ignores
/// what it does not know, and takes a field that is missing for unknown.
inline constexpr int kNodeReportVersion = 1;

/// One line without a newline: {"v":1,"type":"node_report","host":{…},"memory":{…},"cpu":{…},
/// "gpu":{…},"nic":{…},"notes":[…]}. Every field is there; what is unknown is null. Bytes that are
/// no UTF-8 become U+FFFD.
[[nodiscard]] std::string encodeNodeReport(const api::NodeReport& report);

/// Fails    DataCorrupt for what is no JSON object, another version (with both), a field of the
///          wrong kind or a number that does not fit, each with the field's path and its value
Result<api::NodeReport> decodeNodeReport(std::string_view text);

}  // namespace tandem::protocol
