// SPDX-License-Identifier: GPL-3.0-or-later
// The Monitor page: how the engine is running, live.
#pragma once

#include <vector>

#include <QWidget>

class QFrame;
class QLabel;

namespace tandem::ui {

class ElidedLabel;
class MetricChart;
class MonitorViewModel;
class PanelViewModel;
class ShareRows;
class SplitBar;
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
    ElidedLabel* note;
  };

  QWidget* buildTiles();
  QWidget* buildKvCard();
  QWidget* buildDraftCard();
  QFrame* card(const QString& title);
  QWidget* chartCard(const QString& title, MetricChart* chart);
  void refresh();

  const Theme& theme_;
  PanelViewModel& panel_;
  MonitorViewModel& monitor_;
  QLabel* sentence_;
  std::vector<TileView> tiles_;
  QLabel* guard_;
  SplitBar* kv_;
  QLabel* kvUse_;
  QLabel* kvHits_;
  ShareRows* drafts_;
  QLabel* draftSummary_;
  MetricChart* decode_;
  MetricChart* prefill_;
  MetricChart* requests_;
  MetricChart* memory_;
};

}  // namespace tandem::ui
