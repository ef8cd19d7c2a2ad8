// SPDX-License-Identifier: GPL-3.0-or-later
// Ids that survive what agents do to them: letters and digits only.
#pragma once

#include <string>
#include <string_view>

namespace tandem::server {

/// `prefix` and 24 random base-62 characters (142 bits). Some agents drop everything that is not a
/// letter or a digit from ids before they send them back, so nothing else is in them.
[[nodiscard]] std::string randomId(std::string_view prefix);

}  // namespace tandem::server
