// SPDX-License-Identifier: GPL-3.0-or-later
// The Chat page: the conversation and the composer under it.
#pragma once

#include <QWidget>

class QPushButton;
class QStackedWidget;
class QTimer;

namespace tandem::ui {

class ChatViewModel;
class Composer;
class Theme;
class ThreadView;

class ChatPage : public QWidget {
  Q_OBJECT

 public:
  ChatPage(const Theme& theme, ChatViewModel& chat, QWidget* parent = nullptr);

  [[nodiscard]] ThreadView& thread() { return *thread_; }

 protected:
  void focusInEvent(QFocusEvent* event) override;

 private:
  QWidget* buildEmptyState();
  void showOptions();
  void scheduleTurn(int index);
  void showPending();
  void showAll();
  void refresh();

  const Theme& theme_;
  ChatViewModel& chat_;
  QPushButton* newChat_;
  QStackedWidget* stack_;
  ThreadView* thread_;
  Composer* composer_;
  // The live turn is painted at most 30 times a second, however fast tokens come.
  QTimer* paint_;
  int pendingTurn_ = -1;
};

}  // namespace tandem::ui
