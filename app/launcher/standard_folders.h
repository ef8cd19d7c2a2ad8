// SPDX-License-Identifier: GPL-3.0-or-later
// Where the desktop's conventions put files of this user.
#pragma once

#include <QString>

namespace tandem::app {

/// $XDG_RUNTIME_DIR, if it is what the convention promises: a folder of this user that nobody else
/// can enter. Else "".
[[nodiscard]] QString runtimeFolder();

/// $XDG_STATE_HOME/tandem, else ~/.local/state/tandem: logs and histories.
[[nodiscard]] QString stateFolder();

}  // namespace tandem::app
