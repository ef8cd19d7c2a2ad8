// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out tiles and charts and feeds them while the page is in view.
#include "ui/pages/monitor/monitor_page.h"

#include <QFrame>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QScrollArea>
#include <QVBoxLayout>

#include "engine/base/byte_size.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/panel_view_model.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/looks.h"
#include "ui/widgets/metric_chart.h"
#include "ui/widgets/quantity.h"
#include "ui/widgets/share_rows.h"
#include "ui/widgets/split_bar.h"

namespace tandem::ui {

namespace {

constexpr int kTileColumns = 4;

QString memoryAxis(double bytes) {
  return bytesText(static_cast<std::uint64_t>(bytes));
}

QString requestsAxis(double count) {
  return QString::number(count, 'g', 4);
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
      guard_(makeLabel({}, "strong", this)),
      kv_(new SplitBar(theme, tr("KV cache in tokens"))),
      kvUse_(makeLabel({}, "label", this)),
      kvHits_(makeLabel({}, "caption", this)),
      drafts_(new ShareRows(theme,
                            tr("Accepted drafted tokens by place in the draft"),
                            &Palette::decode)),
      draftSummary_(makeLabel({}, "caption", this)),
      decode_(new MetricChart(theme,
                              tr("Decode speed, tokens per second"),
                              {{tr("decode"), &Palette::decode}},
                              rateText)),
      prefill_(new MetricChart(theme,
                               tr("Prefill speed, tokens per second"),
                               {{tr("computed"), &Palette::prefill, Qt::DotLine},
                                {tr("cached"), &Palette::prefill, Qt::DashDotLine}},
                               rateText)),
      requests_(new MetricChart(
          theme,
          tr("Requests running and waiting"),
          {{tr("running"), &Palette::accent}, {tr("waiting"), &Palette::textQuiet, Qt::DashLine}},
          requestsAxis)),
      memory_(new MetricChart(
          theme,
          tr("Memory of each node's engine process"),
          {{tr("head"), &Palette::head}, {tr("worker"), &Palette::worker, Qt::DashLine}},
          memoryAxis)) {
  setProperty("look", QByteArray("page"));
  setAccessibleName(tr("Monitor"));
  guard_->setWordWrap(true);
  guard_->hide();
  kvHits_->setWordWrap(true);
  decode_->setSmallestTop(10);
  prefill_->setSmallestTop(10);
  requests_->setSmallestTop(4);
  memory_->setSmallestTop(double(64 * kMiB));
  memory_->setTickUnit(double(kMiB));
  for (MetricChart* chart : {decode_, prefill_, requests_, memory_}) {
    chart->setWindow(MonitorViewModel::kWindowSeconds);
  }

  auto* cards = new QGridLayout;
  cards->setSpacing(spacing::kCard);
  auto* split = new QHBoxLayout;
  split->setSpacing(spacing::kCard);
  split->addWidget(buildKvCard(), 2);
  split->addWidget(buildDraftCard(), 1);
  cards->addLayout(split, 0, 0, 1, 2);
  cards->addWidget(chartCard(tr("Decode, tok/s"), decode_), 1, 0);
  cards->addWidget(chartCard(tr("Prefill, tok/s"), prefill_), 1, 1);
  cards->addWidget(chartCard(tr("Requests"), requests_), 2, 0);
  cards->addWidget(chartCard(tr("Engine memory"), memory_), 2, 1);
  cards->setColumnStretch(0, 1);
  cards->setColumnStretch(1, 1);
  cards->setRowStretch(1, 1);
  cards->setRowStretch(2, 1);

  auto* ground = new QWidget;
  ground->setProperty("look", QByteArray("page"));
  auto* content = new QVBoxLayout(ground);
  content->setContentsMargins(spacing::kPage, spacing::kPage, spacing::kPage, spacing::kPage);
  content->setSpacing(spacing::kCard);
  content->addWidget(makeLabel(tr("Monitor"), "title", ground));
  content->addWidget(sentence_);
  content->addWidget(guard_);
  content->addWidget(buildTiles());
  content->addLayout(cards, 1);

  // On a low window the charts keep their height and the page scrolls.
  auto* scroll = new QScrollArea(this);
  scroll->setWidgetResizable(true);
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  scroll->setAccessibleName(tr("Figures and charts"));
  scroll->setWidget(ground);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(scroll);

  connect(&monitor_, &MonitorViewModel::changed, this, &MonitorPage::refresh);
  connect(&panel_, &PanelViewModel::changed, this, &MonitorPage::refresh);
  refresh();
}

QWidget* MonitorPage::buildTiles() {
  auto* row = new QWidget(this);
  auto* grid = new QGridLayout(row);
  grid->setContentsMargins(0, 0, 0, 0);
  grid->setSpacing(spacing::kMedium);
  int place = 0;
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
                  new ElidedLabel(Qt::ElideRight, card)};
    view.note->setProperty("look", QByteArray("caption"));
    inside->addWidget(view.name);
    inside->addWidget(view.value);
    inside->addWidget(view.note);
    tiles_.push_back(view);
    grid->addWidget(card, place / kTileColumns, place % kTileColumns);
    grid->setColumnStretch(place % kTileColumns, 1);
    ++place;
  }
  return row;
}

QFrame* MonitorPage::card(const QString& title) {
  auto* card = makeFrame("card", this);
  auto* layout = new QVBoxLayout(card);
  layout->setContentsMargins(spacing::kCard, spacing::kMedium, spacing::kCard, spacing::kMedium);
  layout->setSpacing(spacing::kSmall);
  layout->addWidget(makeLabel(title, "section", card));
  return card;
}

QWidget* MonitorPage::buildKvCard() {
  QFrame* frame = card(tr("KV cache"));
  for (QWidget* widget : {static_cast<QWidget*>(kvUse_),
                          static_cast<QWidget*>(kv_),
                          static_cast<QWidget*>(kvHits_)}) {
    frame->layout()->addWidget(widget);
  }
  return frame;
}

QWidget* MonitorPage::buildDraftCard() {
  QFrame* frame = card(tr("Drafts accepted"));
  frame->layout()->addWidget(drafts_);
  frame->layout()->addWidget(draftSummary_);
  return frame;
}

QWidget* MonitorPage::chartCard(const QString& title, MetricChart* chart) {
  QFrame* frame = card(title);
  frame->layout()->addWidget(chart);
  return frame;
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
    tiles_[i].note->setFullText(tiles[i].note);
    setLook(*tiles_[i].value, monitor_.live() ? "figure" : "oldFigure");
  }
  guard_->setText(monitor_.guardSentence());
  guard_->setVisible(monitor_.live() && !guard_->text().isEmpty());
  const KvPicture kv = monitor_.kv();
  kv_->setParts(kv.parts);
  kvUse_->setText(kv.use);
  kvHits_->setText(kv.hits);
  const DraftPicture drafts = monitor_.drafts();
  drafts_->setRows(drafts.rows);
  draftSummary_->setText(drafts.summary);
  decode_->setSamples(0, monitor_.series(MonitorViewModel::Decode));
  prefill_->setSamples(0, monitor_.series(MonitorViewModel::Prefill));
  prefill_->setSamples(1, monitor_.series(MonitorViewModel::CachedPrefill));
  requests_->setSamples(0, monitor_.series(MonitorViewModel::Running));
  requests_->setSamples(1, monitor_.series(MonitorViewModel::Waiting));
  memory_->setSamples(0, monitor_.series(MonitorViewModel::HeadMemory));
  memory_->setSamples(1, monitor_.series(MonitorViewModel::WorkerMemory));
}

}  // namespace tandem::ui
