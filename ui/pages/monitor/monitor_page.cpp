// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out tiles and charts and feeds them while the page is in view.
#include "ui/pages/monitor/monitor_page.h"

#include <QFrame>
#include <QGridLayout>
#include <QLabel>
#include <QVBoxLayout>

#include "engine/base/byte_size.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/panel_view_model.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"
#include "ui/widgets/metric_chart.h"
#include "ui/widgets/quantity.h"

namespace tandem::ui {

namespace {

QString memoryAxis(double bytes) {
  return bytesText(static_cast<std::uint64_t>(bytes));
}

}  // namespace

MonitorPage::MonitorPage(const Theme& theme,
                         PanelViewModel& panel,
                         MonitorViewModel& monitor,
                         QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      panel_(panel),
      monitor_(monitor),
      sentence_(makeLabel({}, "quiet", this)),
      decode_(new MetricChart(theme,
                              tr("Decode speed, tokens per second"),
                              {{tr("decode"), &Palette::decode}},
                              rateText)),
      prefill_(new MetricChart(theme,
                               tr("Prefill speed, tokens per second"),
                               {{tr("prefill"), &Palette::prefill, Qt::DotLine}},
                               rateText)),
      memory_(new MetricChart(
          theme,
          tr("Memory of each node's engine process"),
          {{tr("head"), &Palette::head}, {tr("worker"), &Palette::worker, Qt::DashLine}},
          memoryAxis)) {
  setProperty("look", QByteArray("page"));
  setAccessibleName(tr("Monitor"));
  decode_->setSmallestTop(10);
  prefill_->setSmallestTop(10);
  memory_->setSmallestTop(double(64 * kMiB));
  memory_->setTickUnit(double(kMiB));
  for (MetricChart* chart : {decode_, prefill_, memory_}) {
    chart->setWindow(MonitorViewModel::kWindowSeconds);
  }

  auto* charts = new QGridLayout;
  charts->setSpacing(spacing::kCard);
  charts->addWidget(chartCard(tr("Decode, tok/s"), decode_), 0, 0);
  charts->addWidget(chartCard(tr("Prefill, tok/s"), prefill_), 0, 1);
  charts->addWidget(chartCard(tr("Engine memory"), memory_), 1, 0, 1, 2);
  charts->setColumnStretch(0, 1);
  charts->setColumnStretch(1, 1);

  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(spacing::kPage, spacing::kPage, spacing::kPage, spacing::kPage);
  layout->setSpacing(spacing::kCard);
  layout->addWidget(makeLabel(tr("Monitor"), "title", this));
  layout->addWidget(sentence_);
  layout->addWidget(buildTiles());
  layout->addLayout(charts, 1);
  layout->setStretch(3, 1);

  connect(&monitor_, &MonitorViewModel::changed, this, &MonitorPage::refresh);
  connect(&panel_, &PanelViewModel::changed, this, &MonitorPage::refresh);
  refresh();
}

QWidget* MonitorPage::buildTiles() {
  auto* row = new QWidget(this);
  auto* grid = new QGridLayout(row);
  grid->setContentsMargins(0, 0, 0, 0);
  grid->setSpacing(spacing::kMedium);
  int column = 0;
  for (const Tile& tile : monitor_.tiles()) {
    auto* card = makeFrame("card", row);
    auto* inside = new QVBoxLayout(card);
    inside->setContentsMargins(spacing::kMedium,
                               spacing::kSmall,
                               spacing::kMedium,
                               spacing::kSmall);
    inside->setSpacing(0);
    TileView view{makeLabel(tile.name, "caption", card),
                  makeLabel({}, "figure", card),
                  makeLabel({}, "caption", card)};
    inside->addWidget(view.name);
    inside->addWidget(view.value);
    inside->addWidget(view.note);
    tiles_.push_back(view);
    grid->addWidget(card, 0, column);
    grid->setColumnStretch(column, 1);
    ++column;
  }
  return row;
}

QWidget* MonitorPage::chartCard(const QString& title, MetricChart* chart) {
  auto* card = makeFrame("card", this);
  auto* layout = new QVBoxLayout(card);
  layout->setContentsMargins(spacing::kCard, spacing::kMedium, spacing::kSmall, spacing::kMedium);
  layout->setSpacing(spacing::kSmall);
  layout->addWidget(makeLabel(title, "section", card));
  layout->addWidget(chart, 1);
  return card;
}

void MonitorPage::showEvent(QShowEvent* event) {
  QWidget::showEvent(event);
  refresh();
}

void MonitorPage::refresh() {
  if (!isVisible()) {
    return;  // nobody looks: the view-model keeps the values
  }
  if (panel_.engine().ready()) {
    sentence_->setText(tr("The last five minutes, once a second."));
  } else if (monitor_.empty()) {
    sentence_->setText(tr("Speed and memory appear here while an engine runs. Start it above."));
  } else {
    sentence_->setText(tr("The engine is not running. These are its last values."));
  }
  const std::vector<Tile> tiles = monitor_.tiles();
  for (std::size_t i = 0; i < tiles_.size(); ++i) {
    tiles_[i].value->setText(tiles[i].value);
    tiles_[i].value->setAccessibleName(
        QStringLiteral("%1 %2 %3").arg(tiles[i].name, tiles[i].value, tiles[i].note));
    tiles_[i].note->setText(tiles[i].note);
    setLook(*tiles_[i].value, monitor_.live() ? "figure" : "oldFigure");
  }
  decode_->setSamples(0, monitor_.series(MonitorViewModel::Decode));
  prefill_->setSamples(0, monitor_.series(MonitorViewModel::Prefill));
  memory_->setSamples(0, monitor_.series(MonitorViewModel::HeadMemory));
  memory_->setSamples(1, monitor_.series(MonitorViewModel::WorkerMemory));
}

}  // namespace tandem::ui
