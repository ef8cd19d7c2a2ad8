// SPDX-License-Identifier: GPL-3.0-or-later
// Draws the status shapes.
#include "ui/widgets/status_glyph.h"

#include <cmath>
#include <numbers>

#include <QPainter>
#include <QPolygonF>

namespace tandem::ui {

namespace {

QPolygonF octagon(const QRectF& box) {
  QPolygonF shape;
  const double radius = box.width() / 2;
  for (int corner = 0; corner < 8; ++corner) {
    const double angle = std::numbers::pi * (corner + 0.5) / 4;
    shape << box.center() + QPointF(std::cos(angle), std::sin(angle)) * radius;
  }
  return shape;
}

}  // namespace

QColor statusColor(Status status, const Palette& palette) {
  switch (status) {
    case Status::Good:
      return palette.good;
    case Status::Caution:
      return palette.caution;
    case Status::Bad:
      return palette.bad;
    case Status::Busy:
      return palette.busy;
    case Status::Off:
      return palette.off;
  }
  return palette.off;
}

void paintStatusGlyph(QPainter& painter, const QRectF& box, Status status, const Palette& palette) {
  const QColor color = statusColor(status, palette);
  const double unit = box.width() / 16;
  const auto at = [&](double x, double y) { return box.topLeft() + QPointF(x, y) * unit; };
  const QPen mark(palette.card, 2 * unit, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin);
  const QPen line(color, 2 * unit, Qt::SolidLine, Qt::RoundCap);

  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(Qt::NoPen);
  painter.setBrush(color);
  switch (status) {
    case Status::Good:
      painter.drawEllipse(box);
      painter.setPen(mark);
      painter.drawPolyline(QPolygonF{at(4.5, 8.3), at(7, 10.8), at(11.5, 5.5)});
      break;
    case Status::Caution:
      painter.drawPolygon(QPolygonF{at(8, 1), at(15.5, 15), at(0.5, 15)});
      painter.setPen(mark);
      painter.drawLine(at(8, 6), at(8, 9.5));
      painter.drawPoint(at(8, 12.5));
      break;
    case Status::Bad:
      painter.drawPolygon(octagon(box));
      painter.setPen(mark);
      painter.drawLine(at(5.5, 5.5), at(10.5, 10.5));
      painter.drawLine(at(10.5, 5.5), at(5.5, 10.5));
      break;
    case Status::Busy:
      painter.setBrush(Qt::NoBrush);
      painter.setPen(line);
      painter.drawArc(box.adjusted(unit, unit, -unit, -unit), 90 * 16, -270 * 16);
      break;
    case Status::Off:
      painter.setBrush(Qt::NoBrush);
      painter.setPen(line);
      painter.drawEllipse(box.adjusted(unit, unit, -unit, -unit));
      break;
  }
  painter.restore();
}

}  // namespace tandem::ui
