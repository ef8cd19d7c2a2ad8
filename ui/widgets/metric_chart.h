// SPDX-License-Identifier: GPL-3.0-or-later
// A live line chart over time; the only user of QCustomPlot.
#pragma once

#include <functional>
#include <vector>

#include <QColor>
#include <QWidget>

#include "ui/theme/palette.h"

class QCustomPlot;
class QTimer;

namespace tandem::ui {

class Theme;

struct MetricPoint {
  double seconds = 0;  // since any fixed origin, rising
  double value = 0;
};

/// What a series is called and how it is told from others without colour.
struct ChartSeries {
  QString name;
  QColor Palette::*color;
  Qt::PenStyle line = Qt::SolidLine;
};

/// Repaints at most ten times a second however often samples come, with one-pixel lines: wider ones
/// cost twenty times as much in QCustomPlot. Each series is labelled at its end, and the accessible
/// description says the newest, smallest and largest values. GUI thread.
class MetricChart : public QWidget {
  Q_OBJECT
  Q_DISABLE_COPY_MOVE(MetricChart)

 public:
  using Format = std::function<QString(double)>;

  /// `format` writes a value with its unit, for the axis, the labels and the description.
  MetricChart(const Theme& theme,
              const QString& title,
              std::vector<ChartSeries> series,
              Format format,
              QWidget* parent = nullptr);
  ~MetricChart() override;

  /// Replaces the samples of one series; shows the last `windowSeconds` before the newest of all.
  void setSamples(std::size_t series, std::vector<MetricPoint> samples);
  void setWindow(double seconds);
  /// The smallest top of the value axis, so that noise near zero does not fill the chart.
  void setSmallestTop(double value);
  /// Ticks stand at round multiples of `unit`, e.g. of a MiB.
  void setTickUnit(double unit);

  [[nodiscard]] int repaintCount() const { return repaints_; }

 protected:
  void resizeEvent(QResizeEvent* event) override;
  void showEvent(QShowEvent* event) override;

 private:
  void recolor();
  void redraw();
  void describe();

  const Theme& theme_;
  QString title_;
  std::vector<ChartSeries> series_;
  std::vector<std::vector<MetricPoint>> samples_;
  Format format_;
  double windowSeconds_ = 300;
  double smallestTop_ = 1;
  int repaints_ = 0;
  QCustomPlot* plot_;
  QTimer* timer_;
};

}  // namespace tandem::ui
