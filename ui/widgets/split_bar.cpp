// SPDX-License-Identifier: GPL-3.0-or-later
// Paints the divided bar and its legend.
#include "ui/widgets/split_bar.h"

#include <algorithm>
#include <utility>

#include <QFontMetrics>
#include <QPainter>
#include <QPainterPath>

#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"

namespace tandem::ui {

namespace {

constexpr int kBarHeight = 16;
constexpr int kSwatch = 10;
constexpr double kLeastWidth = 2;

void fillPart(QPainter& painter, const QRectF& area, const QColor& color, PartFill fill) {
  switch (fill) {
    case PartFill::Solid:
      painter.fillRect(area, color);
      return;
    case PartFill::Hatched:
      painter.fillRect(area, QBrush(color, Qt::BDiagPattern));
      painter.fillRect(QRectF(area.left(), area.top(), 1, area.height()), color);
      return;
    case PartFill::Empty:
      return;
  }
}

}  // namespace

SplitBar::SplitBar(const Theme& theme, const QString& title, QWidget* parent)
    : QWidget(parent),
      theme_(theme) {
  setAccessibleName(title);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void SplitBar::setParts(std::vector<BarPart> parts) {
  parts_ = std::move(parts);
  QStringList words;
  for (const BarPart& part : parts_) {
    words << QStringLiteral("%1 %2").arg(part.name, part.text);
  }
  setAccessibleDescription(words.isEmpty() ? tr("No values yet")
                                           : words.join(QStringLiteral(", ")));
  update();
}

QSize SplitBar::sizeHint() const {
  const QFontMetrics metrics(theme_.font(TextRole::Caption));
  return {320, kBarHeight + spacing::kSmall + metrics.height()};
}

QSize SplitBar::minimumSizeHint() const {
  return {160, sizeHint().height()};
}

void SplitBar::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const Palette& colors = theme_.palette();
  const QRectF bar(0.5, 0.5, width() - 1, kBarHeight - 1);
  double total = 0;
  for (const BarPart& part : parts_) {
    total += std::max(0.0, part.value);
  }
  QPainterPath shape;
  shape.addRoundedRect(bar, spacing::kControlRadius, spacing::kControlRadius);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.save();
  painter.setClipPath(shape);
  double left = bar.left();
  for (const BarPart& part : parts_) {
    if (total > 0 && part.value > 0) {
      const double partWidth = std::max(kLeastWidth, bar.width() * part.value / total);
      fillPart(painter, {left, bar.top(), partWidth, bar.height()}, colors.*part.color, part.fill);
      left += partWidth;
    }
  }
  painter.restore();
  painter.setPen(QPen(colors.outline, 1));
  painter.drawPath(shape);

  const QFont font = theme_.font(TextRole::Caption);
  const QFontMetrics metrics(font);
  painter.setFont(font);
  int x = 0;
  const int top = kBarHeight + spacing::kSmall;
  for (const BarPart& part : parts_) {
    const int swatchTop = top + (metrics.height() - kSwatch) / 2;
    const QRectF swatch(x + 0.5, swatchTop + 0.5, kSwatch, kSwatch);
    fillPart(painter, swatch, colors.*part.color, part.fill);
    painter.setPen(QPen(colors.outline, 1));
    painter.drawRect(swatch);
    x += kSwatch + spacing::kSmall;
    const QString name = part.name + QLatin1Char(' ');
    painter.setPen(colors.textQuiet);
    painter.drawText(x, top + metrics.ascent(), name);
    x += metrics.horizontalAdvance(name);
    painter.setPen(colors.textStrong);
    painter.drawText(x, top + metrics.ascent(), part.text);
    x += metrics.horizontalAdvance(part.text) + spacing::kCard;
  }
}

}  // namespace tandem::ui
