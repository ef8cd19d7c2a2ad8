// SPDX-License-Identifier: GPL-3.0-or-later
// A log record as one JSON line: the same in the log file and on the control channel.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/log.h"
#include "engine/base/result.h"

namespace tandem::protocol {

/// {"seq":12,"t":"2026-11-23T13:37:05.120Z","rank":0,"level":"info","module":"start",
///  "request":"","text":"…"} without a newline.
[[nodiscard]] std::string logLine(const LogRecord& record);

/// Fails with DataCorrupt for what logLine() cannot have made.
Result<LogRecord> parseLogLine(std::string_view line);

}  // namespace tandem::protocol
