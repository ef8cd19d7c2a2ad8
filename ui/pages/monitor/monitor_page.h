// SPDX-License-Identifier: GPL-3.0-or-later
// The Monitor page: how the engine is running, live.
#pragma once

#include <vector>

#include <QWidget>

class QGridLayout;
class QLabel;
class QPushButton;

namespace tandem::ui {

class MetricChart;
class MonitorViewModel;
class PanelViewModel;
class Theme;

class MonitorPage : public QWidget {
  Q_OBJECT

 public:
  MonitorPage(const Theme& theme,
              PanelViewModel& panel,
              MonitorViewModel& monitor,
              QWidget* parent = nullptr);

 protected:
  void showEvent(QShowEvent* event) override;

 private:
  struct TileView {
    QLabel* name;
    QLabel* value;
    QLabel* note;
  };

  QWidget* buildTiles();
  QWidget* chartCard(const QString& title, MetricChart* chart);
  void refresh();

  const Theme& theme_;
  PanelViewModel& panel_;
  MonitorViewModel& monitor_;
  QLabel* sentence_;
  std::vector<TileView> tiles_;
  MetricChart* decode_;
  MetricChart* prefill_;
  MetricChart* memory_;
};

}  // namespace tandem::ui
