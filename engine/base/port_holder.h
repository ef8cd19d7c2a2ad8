// SPDX-License-Identifier: GPL-3.0-or-later
// Who listens on a TCP port of this host, for the error that says it is taken.
#pragma once

#include <cstdint>
#include <string>

namespace tandem {

/// "python3 (pid 4121)", or "another process" when /proc does not tell (other users' processes
/// hide their descriptors). Reads /proc; a few milliseconds.
[[nodiscard]] std::string describePortHolder(std::uint16_t port);

}  // namespace tandem
