// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine bench WHAT: measurements and projections, one file each.
#pragma once

namespace tandem::tools {

int benchCommand(int argc, char** argv);

}  // namespace tandem::tools
