// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/byte_size.h"

#include <fmt/core.h>

namespace tandem {

std::string formatBytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= kGiB) {
    return fmt::format("{:.1f} GiB", value / static_cast<double>(kGiB));
  }
  if (bytes >= kMiB) {
    return fmt::format("{:.1f} MiB", value / static_cast<double>(kMiB));
  }
  if (bytes >= kKiB) {
    return fmt::format("{:.1f} KiB", value / static_cast<double>(kKiB));
  }
  return fmt::format("{} B", bytes);
}

}  // namespace tandem
