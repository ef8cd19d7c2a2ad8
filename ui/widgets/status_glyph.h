// SPDX-License-Identifier: GPL-3.0-or-later
// The five states a thing can be in, each with its own shape and colour.
#pragma once

#include <QColor>
#include <QRectF>

#include "ui/theme/palette.h"

class QPainter;

namespace tandem::ui {

enum class Status { Good, Caution, Bad, Busy, Off };

[[nodiscard]] QColor statusColor(Status status, const Palette& palette);

/// Circle with tick, triangle, octagon with cross, open ring, hollow circle: readable without
/// colour. `box` is square.
void paintStatusGlyph(QPainter& painter, const QRectF& box, Status status, const Palette& palette);

}  // namespace tandem::ui
