// SPDX-License-Identifier: GPL-3.0-or-later
// The Engine page: what the start is doing, phase by phase, and the log.
#pragma once

#include <QWidget>

class QLabel;
class QPushButton;
class QStackedWidget;
class QTableView;
class QToolButton;

namespace tandem::ui {

class EngineViewModel;
class LogPanel;
class PanelViewModel;
class Theme;
class TimelineView;

class EnginePage : public QWidget {
  Q_OBJECT

 public:
  EnginePage(const Theme& theme,
             PanelViewModel& panel,
             EngineViewModel& engine,
             QWidget* parent = nullptr);

 protected:
  /// To the Start button, as long as it is there.
  void focusInEvent(QFocusEvent* event) override;

 private:
  QWidget* buildStartCard();
  [[nodiscard]] bool offersStart() const;
  void refresh();
  void showBarInLog(int lane, int bar);

  const Theme& theme_;
  PanelViewModel& panel_;
  EngineViewModel& engine_;
  QLabel* headline_;
  QLabel* sentence_;
  QPushButton* start_;
  QToolButton* asPicture_;
  QToolButton* asTable_;
  QStackedWidget* views_;
  TimelineView* timeline_;
  QTableView* table_;
  QLabel* legend_;
  LogPanel* log_;
};

}  // namespace tandem::ui
