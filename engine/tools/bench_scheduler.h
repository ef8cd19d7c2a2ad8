// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine bench scheduler: what a scheduling policy would mean for those who wait.
#pragma once

namespace tandem::tools {

int benchScheduler(int argc, char** argv);

}  // namespace tandem::tools
