// SPDX-License-Identifier: GPL-3.0-or-later
// Small makers of widgets that the style sheet knows by their "look".
#pragma once

#include <QString>

class QFrame;
class QLabel;
class QPushButton;
class QToolButton;
class QWidget;

namespace tandem::ui {

/// Gives `widget` a look of the style sheet and applies it at once, also when it had another.
void setLook(QWidget& widget, const char* look);

[[nodiscard]] QLabel* makeLabel(const QString& text, const char* look, QWidget* parent);
[[nodiscard]] QFrame* makeFrame(const char* look, QWidget* parent);
[[nodiscard]] QPushButton* makeButton(const QString& text, const char* look, QWidget* parent);

/// A button that shows only an icon, so its accessible name and tool tip say what it does.
[[nodiscard]] QToolButton* makeIconButton(const QString& name, QWidget* parent);

/// A checkable tool button with text.
[[nodiscard]] QToolButton* makeToggle(const QString& text, const char* look, QWidget* parent);

}  // namespace tandem::ui
