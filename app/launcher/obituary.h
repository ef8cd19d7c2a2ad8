// SPDX-License-Identifier: GPL-3.0-or-later
// Why an engine is gone, in words, from what its process left behind.
#pragma once

#include <cstdint>
#include <vector>

#include <QString>

#include "engine/base/result.h"

namespace tandem::app {

/// How many of its last lines obituaries are made of.
inline constexpr int kObituaryLines = 5;

/// Of one that ended before it was ready.
/// end    "exit code 75", "signal 9", or "" when unknown
Error failedStart(std::int64_t pid, const QString& end, const std::vector<QString>& lastOutput);

/// Of one that was there and went away without saying why.
Error lostEngine(std::int64_t pid, const QString& end, const std::vector<QString>& lastOutput);

}  // namespace tandem::app
