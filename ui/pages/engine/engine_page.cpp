// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out the Engine page and follows its view-models.
#include "ui/pages/engine/engine_page.h"

#include <QButtonGroup>
#include <QFrame>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QStackedWidget>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/engine/timeline_view.h"
#include "ui/shell/panel_view_model.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/log_panel.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

EnginePage::EnginePage(const Theme& theme,
                       PanelViewModel& panel,
                       EngineViewModel& engine,
                       QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      panel_(panel),
      engine_(engine),
      headline_(makeLabel({}, "title", this)),
      sentence_(makeLabel({}, "quiet", this)),
      start_(makeButton(tr("Start engine"), "primary", this)),
      asPicture_(makeToggle(tr("Timeline"), "segment", this)),
      asTable_(makeToggle(tr("Phase table"), "segment", this)),
      views_(new QStackedWidget(this)),
      timeline_(new TimelineView(theme, views_)),
      table_(new QTableView(views_)),
      legend_(makeLabel(tr("Solid = measured  ·  dashed = usual  ·  amber outline = slower than "
                           "usual  ·  select a bar to see its log lines"),
                        "caption",
                        this)),
      log_(new LogPanel(theme, engine.log(), this)) {
  setProperty("look", QByteArray("page"));
  setAccessibleName(tr("Engine"));
  sentence_->setWordWrap(true);
  legend_->setWordWrap(true);

  auto* titles = new QVBoxLayout;
  titles->setSpacing(spacing::kHair);
  titles->addWidget(headline_);
  titles->addWidget(sentence_);

  auto* logCard = makeFrame("card", this);
  auto* logLayout = new QVBoxLayout(logCard);
  logLayout->setContentsMargins(spacing::kCard, spacing::kMedium, spacing::kCard, spacing::kMedium);
  logLayout->addWidget(log_);

  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(spacing::kPage, spacing::kPage, spacing::kPage, spacing::kPage);
  layout->setSpacing(spacing::kCard);
  layout->addLayout(titles);
  layout->addWidget(buildStartCard());
  layout->addWidget(logCard, 1);

  start_->setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
  connect(start_, &QPushButton::clicked, &panel_, &PanelViewModel::requestStart);
  connect(timeline_, &TimelineView::barSelected, this, &EnginePage::showBarInLog);
  connect(&engine_, &EngineViewModel::changed, this, &EnginePage::refresh);
  refresh();
}

QWidget* EnginePage::buildStartCard() {
  auto* card = makeFrame("card", this);
  auto* title = makeLabel(tr("Start-up"), "section", card);
  auto* choice = new QButtonGroup(this);
  choice->addButton(asPicture_, 0);
  choice->addButton(asTable_, 1);
  asPicture_->setChecked(true);
  connect(choice, &QButtonGroup::idClicked, views_, &QStackedWidget::setCurrentIndex);

  table_->setModel(&engine_.phases());
  table_->setAccessibleName(tr("Phases of the start"));
  table_->setFrameShape(QFrame::NoFrame);
  table_->setShowGrid(false);
  table_->setSelectionBehavior(QAbstractItemView::SelectRows);
  table_->setTabKeyNavigation(false);
  table_->verticalHeader()->hide();
  table_->verticalHeader()->setDefaultSectionSize(theme_.scaled(28));
  table_->horizontalHeader()->setHighlightSections(false);
  table_->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
  table_->horizontalHeader()->setSectionResizeMode(PhaseTableModel::Phase,
                                                   QHeaderView::ResizeToContents);
  views_->addWidget(timeline_);
  views_->addWidget(table_);
  views_->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);

  auto* bar = new QHBoxLayout;
  bar->setSpacing(spacing::kHair);
  bar->addWidget(title);
  bar->addStretch(1);
  bar->addWidget(asPicture_);
  bar->addWidget(asTable_);
  auto* layout = new QVBoxLayout(card);
  layout->setContentsMargins(spacing::kCard, spacing::kMedium, spacing::kCard, spacing::kMedium);
  layout->setSpacing(spacing::kSmall);
  layout->addLayout(bar);
  layout->addWidget(views_);
  layout->addWidget(legend_);
  layout->addWidget(start_);
  return card;
}

void EnginePage::focusInEvent(QFocusEvent*) {
  if (offersStart()) {
    start_->setFocus();
  }
}

bool EnginePage::offersStart() const {
  return !engine_.hasStart() && !panel_.actionStops();
}

void EnginePage::refresh() {
  headline_->setText(engine_.headline());
  sentence_->setText(engine_.sentence());
  if (engine_.hasStart()) {
    timeline_->setPicture(engine_.picture());
  }
  const bool any = engine_.hasStart();
  if (!offersStart() && start_->hasFocus()) {
    setFocus();  // hidden, it would pass the keyboard on to whatever comes next
  }
  start_->setVisible(offersStart());
  views_->setVisible(any);
  asPicture_->setVisible(any);
  asTable_->setVisible(any);
  legend_->setText(any ? tr("Solid = measured  ·  dashed = usual  ·  amber outline = slower than "
                            "usual  ·  select a bar to see its log lines")
                       : tr("A start draws its phases here, one lane for each node."));
}

void EnginePage::showBarInLog(int lane, int bar) {
  if (lane < 0 || bar < 0) {
    log_->showRank(std::nullopt);
    return;
  }
  const int rank = engine_.rankOf(lane);
  log_->showRank(rank < 0 ? std::nullopt : std::optional<int>(rank));
  log_->scrollToTime(engine_.wallMsOf(lane, bar));
}

}  // namespace tandem::ui
