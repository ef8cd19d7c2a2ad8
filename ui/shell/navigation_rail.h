// SPDX-License-Identifier: GPL-3.0-or-later
// The left rail: the pages by icon and word, and the look of the window.
#pragma once

#include <vector>

#include <QFrame>

#include "ui/shell/page_registry.h"

class QButtonGroup;
class QToolButton;

namespace tandem::ui {

class NavigationRail : public QFrame {
  Q_OBJECT

 public:
  NavigationRail(Theme& theme, const std::vector<PageEntry>& pages, QWidget* parent = nullptr);

  void setCurrent(int page);
  /// Before the first choice there is no page to go to; the theme can be changed all the same.
  void setPagesEnabled(bool enabled);

 signals:
  void pageChosen(int page);

 private:
  void recolor();

  Theme& theme_;
  std::vector<QString> icons_;
  QButtonGroup* buttons_;
  QToolButton* mode_;
};

}  // namespace tandem::ui
