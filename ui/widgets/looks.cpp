// SPDX-License-Identifier: GPL-3.0-or-later
// Makes widgets with a look and an accessible name.
#include "ui/widgets/looks.h"

#include <QFrame>
#include <QLabel>
#include <QPushButton>
#include <QStyle>
#include <QToolButton>
#include <QVariant>

#include "ui/theme/spacing.h"

namespace tandem::ui {

void setLook(QWidget& widget, const char* look) {
  if (widget.property("look").toByteArray() == look) {
    return;
  }
  widget.setProperty("look", QByteArray(look));
  widget.style()->unpolish(&widget);
  widget.style()->polish(&widget);
}

QLabel* makeLabel(const QString& text, const char* look, QWidget* parent) {
  auto* label = new QLabel(text, parent);
  label->setProperty("look", QByteArray(look));
  label->setTextFormat(Qt::PlainText);
  return label;
}

QFrame* makeFrame(const char* look, QWidget* parent) {
  auto* frame = new QFrame(parent);
  frame->setProperty("look", QByteArray(look));
  return frame;
}

QPushButton* makeButton(const QString& text, const char* look, QWidget* parent) {
  auto* button = new QPushButton(text, parent);
  button->setProperty("look", QByteArray(look));
  button->setAccessibleName(text);
  button->setFocusPolicy(Qt::StrongFocus);
  button->setAutoDefault(true);  // Return presses it too, not only Space
  return button;
}

QToolButton* makeIconButton(const QString& name, QWidget* parent) {
  auto* button = new QToolButton(parent);
  button->setProperty("look", QByteArray("icon"));
  button->setToolTip(name);
  button->setFixedSize(spacing::kControlHeight, spacing::kControlHeight);
  button->setAccessibleName(name);
  button->setFocusPolicy(Qt::StrongFocus);
  return button;
}

QToolButton* makeToggle(const QString& text, const char* look, QWidget* parent) {
  auto* button = new QToolButton(parent);
  button->setProperty("look", QByteArray(look));
  button->setText(text);
  button->setAccessibleName(text);
  button->setCheckable(true);
  button->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
  button->setFocusPolicy(Qt::StrongFocus);
  return button;
}

}  // namespace tandem::ui
