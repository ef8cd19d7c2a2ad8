// SPDX-License-Identifier: GPL-3.0-or-later
// The addresses that the running system has now, by interface.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace tandem::probe {

/// "192.168.100.10/24", "fe80::1/64" under the name of their interface, in the kernel's order.
/// Fails    Unavailable
Result<std::map<std::string, std::vector<std::string>>> readInterfaceAddresses();

}  // namespace tandem::probe
