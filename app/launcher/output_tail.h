// SPDX-License-Identifier: GPL-3.0-or-later
// The end of what an engine printed, and the sentence in it that says why it ended.
#pragma once

#include <optional>
#include <vector>

#include <QString>

namespace tandem::app {

/// The last `lines` lines of a text file, newest last; empty when it cannot be read. Reads at most
/// its last 64 KiB.
[[nodiscard]] std::vector<QString> lastLines(const QString& file, int lines);

/// What tandem-engine prints before it ends with a failure ("tandem-engine serve: …"), without the
/// program's name.
[[nodiscard]] std::optional<QString> failureSentence(const std::vector<QString>& lines);

}  // namespace tandem::app
