// SPDX-License-Identifier: GPL-3.0-or-later
// Folds the reasoning; closed, it costs nothing while text streams in.
#include "ui/pages/chat/reasoning_fold.h"

#include <QPlainTextEdit>
#include <QScrollBar>
#include <QTextCursor>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kBodyHeight = 200;

}  // namespace

ReasoningFold::ReasoningFold(const Theme& theme, QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      toggle_(makeToggle({}, "ghost", this)),
      body_(new QPlainTextEdit(this)) {
  body_->setReadOnly(true);
  body_->setAccessibleName(tr("Reasoning"));
  body_->setFixedHeight(kBodyHeight);
  body_->setUndoRedoEnabled(false);
  body_->setTabChangesFocus(true);
  body_->hide();
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(spacing::kHair);
  layout->addWidget(toggle_, 0, Qt::AlignLeft);
  layout->addWidget(body_);
  connect(toggle_, &QToolButton::toggled, this, &ReasoningFold::setOpen);
  connect(&theme_, &Theme::changed, this, &ReasoningFold::recolor);
  recolor();
}

void ReasoningFold::setReasoning(const QString& line, const QString& text) {
  if (toggle_->text() != line) {
    toggle_->setText(line);
    toggle_->setAccessibleName(tr("Reasoning. %1").arg(line));
  }
  if (!text.startsWith(QStringView(text_))) {
    body_->clear();
    shown_ = 0;
  }
  text_ = text;
  if (isOpen()) {
    showText();
  }
}

bool ReasoningFold::isOpen() const {
  return toggle_->isChecked();
}

void ReasoningFold::setOpen(bool open) {
  if (open) {
    showText();
  }
  body_->setVisible(open);
  recolor();
}

void ReasoningFold::showText() {
  if (shown_ >= text_.size()) {
    return;
  }
  QScrollBar* scroll = body_->verticalScrollBar();
  const bool atEnd = scroll->value() >= scroll->maximum();
  QTextCursor cursor(body_->document());
  cursor.movePosition(QTextCursor::End);
  cursor.insertText(text_.mid(shown_));
  shown_ = text_.size();
  if (atEnd) {
    scroll->setValue(scroll->maximum());
  }
}

void ReasoningFold::recolor() {
  toggle_->setIcon(
      iconNamed(isOpen() ? QStringLiteral("chevron-down") : QStringLiteral("chevron-right"),
                theme_.palette().textNormal));
}

}  // namespace tandem::ui
