// SPDX-License-Identifier: GPL-3.0-or-later
// The conversation: a scrolling column of turns that stays at its end while text arrives.
#pragma once

#include <vector>

#include <QScrollArea>

#include "ui/pages/chat/chat_turn.h"

class QVBoxLayout;

namespace tandem::ui {

class Theme;
class TurnView;

class ThreadView : public QScrollArea {
  Q_OBJECT

 public:
  explicit ThreadView(const Theme& theme, QWidget* parent = nullptr);

  /// Makes room for `count` turns, dropping views of turns that no longer exist.
  void setTurnCount(int count);
  void showTurn(int index, const ChatTurn& turn);
  [[nodiscard]] int turnCount() const { return static_cast<int>(views_.size()); }
  [[nodiscard]] TurnView* turnAt(int index) const;
  void scrollToEnd();

 signals:
  void turnAdded(tandem::ui::TurnView* view);

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  void keepAtEnd();

  const Theme& theme_;
  QWidget* column_;
  QVBoxLayout* layout_;
  std::vector<TurnView*> views_;
  bool pinned_ = true;
};

}  // namespace tandem::ui
