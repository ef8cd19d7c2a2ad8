// SPDX-License-Identifier: GPL-3.0-or-later
// PCI addresses as sysfs writes them: domain:bus:device.function, "000f:01:00.0".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tandem::probe {

/// The address in sysfs's spelling; drivers write "0000000F:01:00.0". Nothing for another text.
[[nodiscard]] std::optional<std::string> pciAddress(std::string_view text);

}  // namespace tandem::probe
