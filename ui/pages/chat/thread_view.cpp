// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps one view per turn in a centred column.
#include "ui/pages/chat/thread_view.h"

#include <algorithm>

#include <QHBoxLayout>
#include <QScrollBar>
#include <QVBoxLayout>

#include "ui/pages/chat/turn_view.h"
#include "ui/theme/spacing.h"

namespace tandem::ui {

ThreadView::ThreadView(const Theme& theme, QWidget* parent)
    : QScrollArea(parent),
      theme_(theme),
      column_(new QWidget(this)),
      layout_(nullptr) {
  setWidgetResizable(true);
  setFrameShape(QFrame::NoFrame);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setAccessibleName(tr("Conversation"));

  auto* ground = new QWidget(this);
  ground->setProperty("look", QByteArray("page"));
  auto* centre = new QHBoxLayout(ground);
  centre->setContentsMargins(0, 0, 0, 0);
  centre->addWidget(column_);
  centre->setAlignment(column_, Qt::AlignTop);
  column_->setMaximumWidth(spacing::kThreadWidth);
  column_->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
  layout_ = new QVBoxLayout(column_);
  layout_->setContentsMargins(0, spacing::kPage, 0, spacing::kPage);
  layout_->setSpacing(spacing::kPage);
  setWidget(ground);

  connect(verticalScrollBar(), &QScrollBar::actionTriggered, this, [this] {
    pinned_ = verticalScrollBar()->sliderPosition() >= verticalScrollBar()->maximum();
  });
  connect(verticalScrollBar(), &QScrollBar::rangeChanged, this, &ThreadView::keepAtEnd);
}

void ThreadView::setTurnCount(int count) {
  while (turnCount() > count) {
    delete views_.back();
    views_.pop_back();
  }
}

void ThreadView::showTurn(int index, const ChatTurn& turn) {
  if (index == turnCount()) {
    auto* view = new TurnView(theme_, turn.fromUser, column_);
    views_.push_back(view);
    layout_->addWidget(view);
    emit turnAdded(view);
  }
  views_.at(static_cast<std::size_t>(index))->setTurn(turn, index == turnCount() - 1);
}

TurnView* ThreadView::turnAt(int index) const {
  return views_.at(static_cast<std::size_t>(index));
}

void ThreadView::scrollToEnd() {
  pinned_ = true;
  keepAtEnd();
}

void ThreadView::resizeEvent(QResizeEvent* event) {
  QScrollArea::resizeEvent(event);
  // Alignment takes the width a column wants, not the one it may have.
  column_->setFixedWidth(std::min(viewport()->width() - 2 * spacing::kPage, spacing::kThreadWidth));
}

void ThreadView::keepAtEnd() {
  if (pinned_) {
    verticalScrollBar()->setValue(verticalScrollBar()->maximum());
  }
}

}  // namespace tandem::ui
