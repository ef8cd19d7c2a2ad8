// SPDX-License-Identifier: GPL-3.0-or-later
// A tool call as a card: name, arguments, and the result that goes back to the model.
#pragma once

#include <QFrame>

#include "ui/pages/chat/chat_turn.h"

class QLabel;
class QPlainTextEdit;
class QToolButton;

namespace tandem::ui {

class Theme;

class ToolCallView : public QFrame {
  Q_OBJECT

 public:
  explicit ToolCallView(const Theme& theme, QWidget* parent = nullptr);

  /// `stage` of the answer that the call is part of.
  void setCall(const ToolCallCard& call, TurnStage stage);
  [[nodiscard]] QString result() const;
  /// The last one in Tab order.
  [[nodiscard]] QWidget* lastControl() const;
  [[nodiscard]] const QString& callId() const { return call_.id; }

 private:
  void showArguments();
  void recolor();

  const Theme& theme_;
  ToolCallCard call_;
  QLabel* icon_;
  QLabel* name_;
  QLabel* state_;
  QToolButton* raw_;
  QLabel* arguments_;
  QLabel* resultTitle_;
  QPlainTextEdit* result_;
};

}  // namespace tandem::ui
