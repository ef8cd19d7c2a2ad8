// SPDX-License-Identifier: GPL-3.0-or-later
// Byte counts as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace tandem {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;

/// "612 B", "4.0 KiB", "13.9 MiB", "78.4 GiB": one decimal, binary units.
[[nodiscard]] std::string formatBytes(std::uint64_t bytes);

}  // namespace tandem
