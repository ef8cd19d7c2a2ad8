// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out the log list and turns the controls into a filter.
#include "ui/widgets/log_panel.h"

#include <algorithm>

#include <QAction>
#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QScrollBar>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/log_line_delegate.h"
#include "ui/widgets/log_model.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

LogPanel::LogPanel(const Theme& theme, LogModel& model, QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      model_(model),
      rank_(new QComboBox(this)),
      level_(new QComboBox(this)),
      text_(new QLineEdit(this)),
      follow_(makeToggle(tr("Follow"), "chip", this)),
      copy_(makeIconButton(tr("Copy selected log lines, or all"), this)),
      list_(new QListView(this)),
      empty_(makeLabel(tr("Log lines of both ranks appear here once an engine runs."),
                       "quiet",
                       list_)) {
  buildFilters();

  list_->setModel(&model_);
  list_->setItemDelegate(new LogLineDelegate(theme_, list_));
  list_->setUniformItemSizes(true);
  list_->setSelectionMode(QAbstractItemView::ExtendedSelection);
  list_->setVerticalScrollMode(QAbstractItemView::ScrollPerItem);
  list_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  list_->setAccessibleName(tr("Log lines"));
  list_->setFrameShape(QFrame::NoFrame);
  auto* copyAction = new QAction(tr("Copy"), list_);
  copyAction->setShortcut(QKeySequence::Copy);
  copyAction->setShortcutContext(Qt::WidgetShortcut);
  list_->addAction(copyAction);
  connect(copyAction, &QAction::triggered, this, &LogPanel::copySelection);

  auto* emptyLayout = new QVBoxLayout(list_->viewport());
  empty_->setAlignment(Qt::AlignCenter);
  empty_->setWordWrap(true);
  emptyLayout->addWidget(empty_);

  auto* title = makeLabel(tr("Log"), "section", this);
  auto* bar = new QHBoxLayout;
  bar->setSpacing(spacing::kSmall);
  bar->addWidget(title);
  bar->addStretch(1);
  bar->addWidget(rank_);
  bar->addWidget(level_);
  bar->addWidget(text_);
  bar->addWidget(follow_);
  bar->addWidget(copy_);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(spacing::kSmall);
  layout->addLayout(bar);
  layout->addWidget(list_, 1);

  connect(&model_, &LogModel::rowsInserted, this, &LogPanel::rowsChanged);
  connect(&model_, &LogModel::modelReset, this, &LogPanel::rowsChanged);
  connect(copy_, &QToolButton::clicked, this, &LogPanel::copySelection);
  connect(follow_, &QToolButton::toggled, this, &LogPanel::rowsChanged);
  // Scrolling away by hand ends following; coming back to the end starts it again.
  connect(list_->verticalScrollBar(), &QScrollBar::actionTriggered, this, [this] {
    const auto* scroll = list_->verticalScrollBar();
    follow_->setChecked(scroll->sliderPosition() >= scroll->maximum());
  });
  // Rows that come while the list is hidden, and a list that changes its height, move the end.
  connect(list_->verticalScrollBar(), &QScrollBar::rangeChanged, this, [this] {
    if (follow_->isChecked()) {
      list_->scrollToBottom();
    }
  });
  connect(&theme_, &Theme::changed, this, &LogPanel::recolor);
  recolor();
  rowsChanged();
}

void LogPanel::buildFilters() {
  rank_->addItem(tr("Both nodes"));
  rank_->addItem(tr("Head"), 0);
  rank_->addItem(tr("Worker"), 1);
  rank_->setAccessibleName(tr("Show log lines of"));
  level_->addItem(tr("All levels"), static_cast<int>(LogLevel::Debug));
  level_->addItem(tr("Info and above"), static_cast<int>(LogLevel::Info));
  level_->addItem(tr("Warnings and errors"), static_cast<int>(LogLevel::Warning));
  level_->addItem(tr("Errors"), static_cast<int>(LogLevel::Error));
  level_->setAccessibleName(tr("Show log levels"));
  text_->setPlaceholderText(tr("Filter"));
  text_->setAccessibleName(tr("Filter log by text"));
  text_->setClearButtonEnabled(true);
  text_->setMaximumWidth(200);
  follow_->setChecked(true);
  follow_->setToolTip(tr("Keep the newest line in view"));
  connect(rank_, &QComboBox::currentIndexChanged, this, &LogPanel::applyFilter);
  connect(level_, &QComboBox::currentIndexChanged, this, &LogPanel::applyFilter);
  connect(text_, &QLineEdit::textChanged, this, &LogPanel::applyFilter);
}

void LogPanel::applyFilter() {
  LogFilter filter;
  if (rank_->currentData().isValid()) {
    filter.rank = rank_->currentData().toInt();
  }
  filter.lowestLevel = static_cast<LogLevel>(level_->currentData().toInt());
  filter.text = text_->text();
  model_.setFilter(filter);
}

void LogPanel::rowsChanged() {
  const bool none = model_.rowCount() == 0;
  empty_->setVisible(none);
  if (none && model_.recordCount() > 0) {
    empty_->setText(tr("No log line passes this filter."));
  }
  if (follow_->isChecked()) {
    list_->scrollToBottom();
  }
}

void LogPanel::showRank(std::optional<int> rank) {
  rank_->setCurrentIndex(rank ? rank_->findData(*rank) : 0);
}

void LogPanel::scrollToTime(std::int64_t wallMs) {
  follow_->setChecked(false);
  for (int row = 0; row < model_.rowCount(); ++row) {
    const QModelIndex index = model_.index(row);
    if (index.data(LogModel::WallMsRole).toLongLong() >= wallMs) {
      list_->scrollTo(index, QAbstractItemView::PositionAtTop);
      list_->setCurrentIndex(index);
      return;
    }
  }
}

bool LogPanel::follows() const {
  return follow_->isChecked();
}

void LogPanel::copySelection() {
  QModelIndexList chosen = list_->selectionModel()->selectedIndexes();
  std::sort(chosen.begin(), chosen.end(), [](const QModelIndex& a, const QModelIndex& b) {
    return a.row() < b.row();
  });
  QStringList lines;
  if (chosen.size() > 1 || list_->hasFocus()) {
    for (const QModelIndex& index : chosen) {
      lines << model_.lineText(index.row());
    }
  } else {
    for (int row = 0; row < model_.rowCount(); ++row) {
      lines << model_.lineText(row);
    }
  }
  QGuiApplication::clipboard()->setText(lines.join(QLatin1Char('\n')));
}

void LogPanel::recolor() {
  copy_->setIcon(iconNamed(QStringLiteral("copy"), theme_.palette().textNormal));
}

}  // namespace tandem::ui
