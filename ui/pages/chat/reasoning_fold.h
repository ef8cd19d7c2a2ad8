// SPDX-License-Identifier: GPL-3.0-or-later
// The model's reasoning: one line with a timer, opened in place on demand.
#pragma once

#include <QWidget>

class QLabel;
class QPlainTextEdit;
class QToolButton;

namespace tandem::ui {

class Theme;

class ReasoningFold : public QWidget {
  Q_OBJECT

 public:
  explicit ReasoningFold(const Theme& theme, QWidget* parent = nullptr);

  /// `line` heads the fold; new text is appended when `text` starts with what is shown.
  void setReasoning(const QString& line, const QString& text);
  [[nodiscard]] bool isOpen() const;

 private:
  void setOpen(bool open);
  void showText();
  void recolor();

  const Theme& theme_;
  QToolButton* toggle_;
  QPlainTextEdit* body_;
  QString text_;
  qsizetype shown_ = 0;
};

}  // namespace tandem::ui
