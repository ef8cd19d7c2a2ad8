// SPDX-License-Identifier: GPL-3.0-or-later
// One turn of the conversation on screen: the user's words in a bubble, the answer on plain ground.
#pragma once

#include <vector>

#include <QWidget>

#include "ui/pages/chat/chat_view_model.h"

class QFrame;
class QLabel;
class QPushButton;
class QToolButton;

namespace tandem::ui {

class MarkdownView;
class ReasoningFold;
class Theme;
class ToolCallView;

class TurnView : public QWidget {
  Q_OBJECT

 public:
  TurnView(const Theme& theme, bool fromUser, QWidget* parent = nullptr);

  /// `newest` turns offer Regenerate, Retry and the tool results.
  void setTurn(const ChatTurn& turn, bool newest);
  [[nodiscard]] const MarkdownView* answer() const { return answer_; }

 signals:
  void regenerateRequested();
  void resultsReady(const std::vector<tandem::ui::ToolResult>& results);

 private:
  void buildUser();
  void buildAnswer();
  void showCalls(const ChatTurn& turn, bool newest);
  void showEnd(const ChatTurn& turn, bool newest);
  void sendResults();
  void recolor();

  const Theme& theme_;
  ChatTurn turn_;
  QLabel* userText_ = nullptr;

  QLabel* progress_ = nullptr;
  ReasoningFold* reasoning_ = nullptr;
  MarkdownView* answer_ = nullptr;
  QWidget* calls_ = nullptr;
  std::vector<ToolCallView*> callViews_;
  QPushButton* sendResults_ = nullptr;
  QFrame* notice_ = nullptr;
  QLabel* noticeWhat_ = nullptr;
  QLabel* noticeRemedy_ = nullptr;
  QPushButton* retry_ = nullptr;
  QLabel* numbers_ = nullptr;
  QWidget* actions_ = nullptr;
  QToolButton* copy_ = nullptr;
  QToolButton* regenerate_ = nullptr;
};

}  // namespace tandem::ui
