// SPDX-License-Identifier: GPL-3.0-or-later
// The window: rail, status header, pages. It does not know which pages there are.
#pragma once

#include <vector>

#include <QMainWindow>

#include "ui/shell/page_registry.h"

class QStackedWidget;

namespace tandem::ui {

class FirstRunCard;
class NavigationRail;
class NoticeBar;
class StatusHeader;

class MainWindow : public QMainWindow {
  Q_OBJECT

 public:
  MainWindow(const PageContext& context, const std::vector<PageEntry>& pages);

  /// Shows the page with this id; false when there is none.
  bool showPage(const QString& id);
  /// Covers the pages with the first-run card until a choice is made.
  void showFirstRun();
  [[nodiscard]] QString currentPage() const;

 signals:
  void demoChosen();

 private:
  void addShortcuts();
  void showPageAt(int index);
  void scaleText(double factor);

  Theme& theme_;
  std::vector<PageEntry> pages_;
  NavigationRail* rail_;
  StatusHeader* header_;
  NoticeBar* notice_;
  QStackedWidget* stack_;
  FirstRunCard* firstRun_ = nullptr;
};

}  // namespace tandem::ui
