// SPDX-License-Identifier: GPL-3.0-or-later
// Paints the status badge and names it for screen readers.
#include "ui/widgets/status_badge.h"

#include <QAccessible>
#include <QFontMetrics>
#include <QPainter>

#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"

namespace tandem::ui {

namespace {

constexpr int kGlyph = 16;

}  // namespace

StatusBadge::StatusBadge(const Theme& theme, QWidget* parent)
    : QWidget(parent),
      theme_(theme) {
  setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

void StatusBadge::setStatus(Status status, const QString& word) {
  if (status == status_ && word == word_) {
    return;
  }
  status_ = status;
  word_ = word;
  setAccessibleName(tr("State: %1").arg(word));
  QAccessibleEvent changed(this, QAccessible::NameChanged);
  QAccessible::updateAccessibility(&changed);
  updateGeometry();
  update();
}

QSize StatusBadge::sizeHint() const {
  QFont font = theme_.font(TextRole::Section);
  const QFontMetrics metrics(font);
  return {kGlyph + spacing::kSmall + metrics.horizontalAdvance(word_) + 2,
          qMax(kGlyph, metrics.height())};
}

void StatusBadge::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const double top = (height() - kGlyph) / 2.0;
  paintStatusGlyph(painter, QRectF(0, top, kGlyph, kGlyph), status_, theme_.palette());
  painter.setFont(theme_.font(TextRole::Section));
  painter.setPen(theme_.palette().textStrong);
  painter.drawText(rect().adjusted(kGlyph + spacing::kSmall, 0, 0, 0),
                   Qt::AlignVCenter | Qt::AlignLeft,
                   word_);
}

}  // namespace tandem::ui
