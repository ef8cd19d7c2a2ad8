// SPDX-License-Identifier: GPL-3.0-or-later
// Shortens the text to the width at hand.
#include "ui/widgets/elided_label.h"

#include <QEvent>

namespace tandem::ui {

ElidedLabel::ElidedLabel(Qt::TextElideMode mode, QWidget* parent)
    : QLabel(parent),
      mode_(mode) {
  setTextFormat(Qt::PlainText);
  setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
}

void ElidedLabel::setFullText(const QString& text) {
  if (text == fullText_) {
    return;
  }
  fullText_ = text;
  setAccessibleName(text);
  updateGeometry();
  shorten();
}

QSize ElidedLabel::sizeHint() const {
  return {fontMetrics().horizontalAdvance(fullText_) + 2, QLabel::sizeHint().height()};
}

QSize ElidedLabel::minimumSizeHint() const {
  return {fontMetrics().averageCharWidth() * 6, QLabel::minimumSizeHint().height()};
}

void ElidedLabel::resizeEvent(QResizeEvent* event) {
  QLabel::resizeEvent(event);
  shorten();
}

void ElidedLabel::changeEvent(QEvent* event) {
  QLabel::changeEvent(event);
  if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange) {
    shorten();
  }
}

void ElidedLabel::shorten() {
  const QString shown = fontMetrics().elidedText(fullText_, mode_, width());
  setToolTip(shown == fullText_ ? QString() : fullText_);
  if (shown != text()) {
    setText(shown);
  }
}

}  // namespace tandem::ui
