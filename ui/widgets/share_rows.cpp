// SPDX-License-Identifier: GPL-3.0-or-later
// Paints rows of shares.
#include "ui/widgets/share_rows.h"

#include <algorithm>
#include <utility>

#include <QFontMetrics>
#include <QPainter>

#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/quantity.h"

namespace tandem::ui {

namespace {

constexpr int kBarHeight = 10;
constexpr int kLeastBarWidth = 48;

}  // namespace

ShareRows::ShareRows(const Theme& theme,
                     const QString& title,
                     QColor Palette::*color,
                     QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      color_(color) {
  setAccessibleName(title);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void ShareRows::setRows(std::vector<ShareRow> rows) {
  if (rows == rows_) {
    return;
  }
  const bool resized = rows.size() != rows_.size();
  rows_ = std::move(rows);
  QStringList words;
  for (const ShareRow& row : rows_) {
    words << QStringLiteral("%1 %2").arg(row.name, percentText(row.share));
  }
  setAccessibleDescription(words.join(QStringLiteral(", ")));
  if (resized) {
    updateGeometry();
  }
  update();
}

int ShareRows::rowHeight() const {
  return QFontMetrics(theme_.font(TextRole::Caption)).height() + spacing::kHair;
}

int ShareRows::nameWidth() const {
  const QFontMetrics metrics(theme_.font(TextRole::Caption));
  int widest = 0;
  for (const ShareRow& row : rows_) {
    widest = std::max(widest, metrics.horizontalAdvance(row.name));
  }
  return widest;
}

QSize ShareRows::sizeHint() const {
  const QFontMetrics metrics(theme_.font(TextRole::Caption));
  return {nameWidth() + kLeastBarWidth + metrics.horizontalAdvance(percentText(1)) +
              2 * spacing::kSmall,
          std::max(1, static_cast<int>(rows_.size())) * rowHeight()};
}

void ShareRows::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const Palette& colors = theme_.palette();
  painter.setFont(theme_.font(TextRole::Caption));
  const QFontMetrics metrics = painter.fontMetrics();
  const int barLeft = nameWidth() + spacing::kSmall;
  const int figureWidth = metrics.horizontalAdvance(percentText(1));
  const int barWidth = std::max(1, width() - barLeft - figureWidth - spacing::kSmall);
  int top = 0;
  for (const ShareRow& row : rows_) {
    const QRect line(0, top, width(), rowHeight());
    painter.setPen(colors.textNormal);
    painter.drawText(line, Qt::AlignLeft | Qt::AlignVCenter, row.name);
    const QRect track(barLeft, top + (rowHeight() - kBarHeight) / 2, barWidth, kBarHeight);
    painter.fillRect(track, colors.raised);
    if (row.share) {
      const int filled = qRound(barWidth * std::clamp(*row.share, 0.0, 1.0));
      painter.fillRect(QRect(track.topLeft(), QSize(filled, kBarHeight)), colors.*color_);
    }
    painter.setPen(colors.textStrong);
    painter.drawText(line, Qt::AlignRight | Qt::AlignVCenter, percentText(row.share));
    top += rowHeight();
  }
}

}  // namespace tandem::ui
