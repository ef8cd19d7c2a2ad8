// SPDX-License-Identifier: GPL-3.0-or-later
// The style sheet of the application, written from a palette and a text scale.
#pragma once

#include <QString>

#include "ui/theme/palette.h"

namespace tandem::ui {

/// Widgets choose a style by the dynamic property "look": card, title, section, quiet, caption,
/// figure, primary, danger, ghost, icon, segment, bubble.
[[nodiscard]] QString styleSheetOf(const Palette& palette, double textScale);

}  // namespace tandem::ui
