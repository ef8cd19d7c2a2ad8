// SPDX-License-Identifier: GPL-3.0-or-later
// UTC wall time as text, as in every `t` of the control channel and the log file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem::protocol {

/// "2026-11-23T13:37:05.120Z". A time before 1970 or after 9999 becomes the nearest inside.
[[nodiscard]] std::string wallTimeText(std::int64_t wallMs);

/// Milliseconds since 1970-01-01 UTC; nothing for what wallTimeText() cannot have made.
[[nodiscard]] std::optional<std::int64_t> parseWallTime(std::string_view text);

}  // namespace tandem::protocol
