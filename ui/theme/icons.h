// SPDX-License-Identifier: GPL-3.0-or-later
// Icons by name, in a colour of the palette.
#pragma once

#include <QIcon>
#include <QString>

#include "ui/theme/palette.h"

namespace tandem::ui {

/// The vector icon `resources/icons/<name>.svg` with its strokes in `color`. An unknown name gives
/// an empty icon.
[[nodiscard]] QIcon iconNamed(const QString& name, const QColor& color);

}  // namespace tandem::ui
