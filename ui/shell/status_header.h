// SPDX-License-Identifier: GPL-3.0-or-later
// The strip above every page: state, model, endpoint, speed, KV cache, memory, Start or Stop.
#pragma once

#include <array>

#include <QFrame>

class QLabel;
class QPushButton;
class QToolButton;

namespace tandem::ui {

class ElidedLabel;
class PanelViewModel;
class StatusBadge;
class Theme;

class StatusHeader : public QFrame {
  Q_OBJECT

 public:
  StatusHeader(const Theme& theme, PanelViewModel& panel, QWidget* parent = nullptr);

 private:
  void refresh();
  void recolor();

  const Theme& theme_;
  PanelViewModel& panel_;
  StatusBadge* state_;
  ElidedLabel* model_;
  ElidedLabel* endpoint_;
  QToolButton* copyEndpoint_;
  QLabel* decode_;
  QLabel* kv_;
  std::array<QLabel*, 2> memory_;
  QPushButton* action_;
};

}  // namespace tandem::ui
