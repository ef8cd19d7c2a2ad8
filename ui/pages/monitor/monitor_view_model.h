// SPDX-License-Identifier: GPL-3.0-or-later
// The engine's numbers over the last minutes, ready to be drawn.
#pragma once

#include <array>
#include <vector>

#include <QObject>

#include "engine/api/engine_stats.h"
#include "ui/widgets/metric_chart.h"

namespace tandem::ui {

/// A number with its name: one tile.
struct Tile {
  QString name;
  QString value;
  QString note;
};

/// Keeps five minutes of once-a-second statistics. Holds no widget. GUI thread.
class MonitorViewModel : public QObject {
  Q_OBJECT

 public:
  static constexpr double kWindowSeconds = 300;
  enum Series { Decode, Prefill, HeadMemory, WorkerMemory, SeriesCount };

  using QObject::QObject;

  void addStats(const api::EngineStats& stats);
  /// The engine stopped: the charts keep their last values, greyed by the page.
  void setLive(bool live);

  [[nodiscard]] bool live() const { return live_; }
  [[nodiscard]] bool empty() const { return series_[Decode].empty(); }
  [[nodiscard]] const std::vector<MetricPoint>& series(Series which) const {
    return series_[which];
  }
  [[nodiscard]] std::vector<Tile> tiles() const;

 signals:
  void changed();

 private:
  api::EngineStats last_;
  std::array<std::vector<MetricPoint>, SeriesCount> series_;
  bool live_ = false;
};

}  // namespace tandem::ui
