// SPDX-License-Identifier: GPL-3.0-or-later
// Shows a notice and announces it to screen readers.
#include "ui/shell/notice_bar.h"

#include <QAccessible>
#include <QHBoxLayout>
#include <QLabel>
#include <QToolButton>

#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

NoticeBar::NoticeBar(const Theme& theme, QWidget* parent)
    : QFrame(parent),
      theme_(theme),
      text_(makeLabel({}, "label", this)),
      close_(makeIconButton(tr("Dismiss notice"), this)) {
  setProperty("look", QByteArray("news"));
  text_->setWordWrap(true);
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(spacing::kPage, spacing::kHair, spacing::kPage, spacing::kHair);
  layout->addWidget(text_, 1);
  layout->addWidget(close_);
  connect(close_, &QToolButton::clicked, this, &QWidget::hide);
  connect(&theme_, &Theme::changed, this, &NoticeBar::recolor);
  recolor();
  hide();
}

void NoticeBar::say(const QString& sentence) {
  text_->setText(sentence);
  setAccessibleName(sentence);
  if (sentence.isEmpty()) {
    hide();
    return;
  }
  show();
  QAccessibleEvent alert(this, QAccessible::Alert);
  QAccessible::updateAccessibility(&alert);
}

void NoticeBar::recolor() {
  close_->setIcon(iconNamed(QStringLiteral("close"), theme_.palette().textNormal));
}

}  // namespace tandem::ui
