// SPDX-License-Identifier: GPL-3.0-or-later
// Feeds QCustomPlot with the settings that keep it cheap.
#include "ui/widgets/metric_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <QTimer>
#include <QVBoxLayout>
#include <qcustomplot.h>

#include "ui/theme/theme.h"

namespace tandem::ui {

namespace {

constexpr int kRepaintIntervalMs = 100;
constexpr int kLabelMargin = 64;

/// Values written with the chart's own format.
class ValueTicker : public QCPAxisTicker {
 public:
  ValueTicker(MetricChart::Format format, double unit)
      : format_(std::move(format)),
        unit_(unit) {
    setTickCount(4);
  }

 protected:
  double getTickStep(const QCPRange& range) override {
    return cleanMantissa(range.size() / unit_ / tickCount()) * unit_;
  }

  QString getTickLabel(double tick, const QLocale&, QChar, int) override {
    return format_(tick).remove(QLatin1String(".0"));
  }

 private:
  MetricChart::Format format_;
  double unit_;
};

/// "now", "1 min", "2 min": how long ago.
class AgeTicker : public QCPAxisTicker {
 public:
  AgeTicker() { setTickCount(5); }

 protected:
  double getTickStep(const QCPRange& range) override { return range.size() > 150 ? 60 : 15; }

  QString getTickLabel(double tick, const QLocale&, QChar, int) override {
    const long ago = std::lround(-tick);
    if (ago <= 0) {
      return MetricChart::tr("now");
    }
    return ago % 60 == 0 ? MetricChart::tr("%1 min").arg(ago / 60)
                         : MetricChart::tr("%1 s").arg(ago);
  }
};

}  // namespace

MetricChart::MetricChart(const Theme& theme,
                         const QString& title,
                         std::vector<ChartSeries> series,
                         Format format,
                         QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      title_(title),
      series_(std::move(series)),
      samples_(series_.size()),
      format_(std::move(format)),
      plot_(new QCustomPlot(this)),
      timer_(new QTimer(this)) {
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(plot_);
  setAccessibleName(title_);
  // QCustomPlot cannot draw on a plot without area, and a hidden page may lay it out so.
  plot_->setMinimumSize(160, 140);

  plot_->setPlottingHints(QCP::phFastPolylines | QCP::phCacheLabels);
  plot_->setNotAntialiasedElements(QCP::aeAll);
  plot_->setAntialiasedElements(QCP::aePlottables);
  plot_->setInteractions({});
  plot_->setFocusPolicy(Qt::NoFocus);
  plot_->axisRect()->setAutoMargins(QCP::msLeft | QCP::msBottom | QCP::msTop);
  plot_->axisRect()->setMargins(QMargins(0, 0, kLabelMargin, 0));
  plot_->xAxis->setTicker(QSharedPointer<AgeTicker>::create());
  plot_->yAxis->setTicker(QSharedPointer<ValueTicker>::create(format_, 1.0));
  plot_->xAxis->setTickLabelPadding(8);
  for (std::size_t i = 0; i < series_.size(); ++i) {
    plot_->addGraph();
    auto* label = new QCPItemText(plot_);
    label->setClipToAxisRect(false);
    label->setPositionAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    label->position->setType(QCPItemPosition::ptPlotCoords);
    label->setPadding(QMargins(6, 0, 0, 0));
    label->setText(series_[i].name);
  }

  timer_->setSingleShot(true);
  timer_->setInterval(kRepaintIntervalMs);
  connect(timer_, &QTimer::timeout, this, &MetricChart::redraw);
  connect(&theme_, &Theme::changed, this, &MetricChart::recolor);
  recolor();
  describe();
}

MetricChart::~MetricChart() = default;

void MetricChart::setSamples(std::size_t series, std::vector<MetricPoint> samples) {
  samples_.at(series) = std::move(samples);
  if (!timer_->isActive()) {
    timer_->start();
  }
}

void MetricChart::setWindow(double seconds) {
  windowSeconds_ = seconds;
}

void MetricChart::setSmallestTop(double value) {
  smallestTop_ = value;
}

void MetricChart::setTickUnit(double unit) {
  plot_->yAxis->setTicker(QSharedPointer<ValueTicker>::create(format_, unit));
}

void MetricChart::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  timer_->start();
}

void MetricChart::showEvent(QShowEvent* event) {
  QWidget::showEvent(event);
  timer_->start();
}

void MetricChart::recolor() {
  const Palette& colors = theme_.palette();
  plot_->setBackground(QBrush(colors.card));
  const QFont font = theme_.font(TextRole::Caption);
  for (QCPAxis* axis : {plot_->xAxis, plot_->yAxis}) {
    axis->setBasePen(QPen(colors.divider, 1));
    axis->setTickPen(Qt::NoPen);
    axis->setSubTickPen(Qt::NoPen);
    axis->setTickLabelColor(colors.textQuiet);
    axis->setTickLabelFont(font);
    axis->grid()->setPen(QPen(colors.divider, 1));
    axis->grid()->setZeroLinePen(Qt::NoPen);
  }
  plot_->xAxis->grid()->setVisible(false);
  plot_->yAxis->setBasePen(Qt::NoPen);
  for (int i = 0; i < plot_->graphCount(); ++i) {
    const ChartSeries& series = series_[static_cast<std::size_t>(i)];
    const QColor color = colors.*series.color;
    plot_->graph(i)->setPen(QPen(color, 1, series.line));
    if (auto* label = qobject_cast<QCPItemText*>(plot_->item(i))) {
      label->setColor(color);
      label->setFont(font);
    }
  }
  timer_->start();
}

void MetricChart::redraw() {
  describe();
  if (!isVisible()) {
    return;  // showEvent draws what was missed
  }
  double newest = -std::numeric_limits<double>::infinity();
  double top = smallestTop_;
  for (const auto& samples : samples_) {
    if (!samples.empty()) {
      newest = std::max(newest, samples.back().seconds);
    }
  }
  // Labels at the line ends must not lie on each other: push later ones down.
  std::vector<double> labelAt;
  for (const auto& samples : samples_) {
    for (const MetricPoint& point : samples) {
      if (point.seconds >= newest - windowSeconds_) {
        top = std::max(top, point.value);
      }
    }
  }
  top *= 1.15;
  plot_->xAxis->setRange(-windowSeconds_, 0);
  plot_->yAxis->setRange(0, top);
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    QVector<double> age;
    QVector<double> value;
    for (const MetricPoint& point : samples_[i]) {
      if (point.seconds >= newest - windowSeconds_) {
        age.append(point.seconds - newest);
        value.append(point.value);
      }
    }
    auto* graph = plot_->graph(static_cast<int>(i));
    graph->setData(age, value, true);
    auto* label = qobject_cast<QCPItemText*>(plot_->item(static_cast<int>(i)));
    label->setVisible(!value.isEmpty());
    if (!value.isEmpty()) {
      const double lineHeight = top * theme_.scaled(16) / std::max(1, plot_->axisRect()->height());
      double at = value.back();
      for (const double taken : labelAt) {
        if (std::abs(at - taken) < lineHeight) {
          at = taken + (taken + lineHeight < top ? lineHeight : -lineHeight);
        }
      }
      labelAt.push_back(at);
      label->position->setCoords(0, at);
    }
  }
  plot_->replot(QCustomPlot::rpQueuedReplot);
  ++repaints_;
}

void MetricChart::describe() {
  QStringList parts;
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    if (samples_[i].empty()) {
      continue;
    }
    const auto byValue = [](const MetricPoint& a, const MetricPoint& b) {
      return a.value < b.value;
    };
    const auto range = std::minmax_element(samples_[i].begin(), samples_[i].end(), byValue);
    parts << tr("%1: now %2, lowest %3, highest %4")
                 .arg(series_[i].name,
                      format_(samples_[i].back().value),
                      format_(range.first->value),
                      format_(range.second->value));
  }
  setAccessibleDescription(parts.isEmpty() ? tr("No values yet")
                                           : parts.join(QStringLiteral(". ")));
}

}  // namespace tandem::ui
