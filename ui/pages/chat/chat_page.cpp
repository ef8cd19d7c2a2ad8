// SPDX-License-Identifier: GPL-3.0-or-later
// Connects thread and composer with the view-model.
#include "ui/pages/chat/chat_page.h"

#include <array>

#include <QFrame>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QShortcut>
#include <QStackedWidget>
#include <QTimer>
#include <QVBoxLayout>

#include "ui/pages/chat/chat_view_model.h"
#include "ui/pages/chat/composer.h"
#include "ui/pages/chat/thread_view.h"
#include "ui/pages/chat/turn_view.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kPaintIntervalMs = 33;

}  // namespace

ChatPage::ChatPage(const Theme& theme, ChatViewModel& chat, QWidget* parent)
    : QWidget(parent),
      theme_(theme),
      chat_(chat),
      newChat_(makeButton(tr("New chat"), "ghost", this)),
      stack_(new QStackedWidget(this)),
      thread_(new ThreadView(theme, stack_)),
      composer_(new Composer(theme, this)),
      paint_(new QTimer(this)) {
  setProperty("look", QByteArray("page"));
  setAccessibleName(tr("Chat"));
  newChat_->setToolTip(tr("Start a new conversation (Ctrl+N)"));
  stack_->addWidget(buildEmptyState());
  stack_->addWidget(thread_);

  auto* top = new QHBoxLayout;
  top->setContentsMargins(spacing::kPage, spacing::kPage, spacing::kPage, 0);
  top->addWidget(makeLabel(tr("Chat"), "title", this));
  top->addStretch(1);
  top->addWidget(newChat_);
  auto* bottom = new QHBoxLayout;
  bottom->setContentsMargins(spacing::kPage, spacing::kSmall, spacing::kPage, spacing::kPage);
  composer_->setMaximumWidth(spacing::kThreadWidth);
  bottom->addStretch(1);
  bottom->addWidget(composer_, 1000);
  bottom->addStretch(1);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addLayout(top);
  layout->addWidget(stack_, 1);
  layout->addLayout(bottom);

  paint_->setSingleShot(true);
  paint_->setInterval(kPaintIntervalMs);
  connect(paint_, &QTimer::timeout, this, &ChatPage::showPending);
  connect(thread_, &ThreadView::turnAdded, this, [this](TurnView* view) {
    connect(view, &TurnView::regenerateRequested, &chat_, &ChatViewModel::regenerateRequested);
    connect(view, &TurnView::resultsReady, &chat_, &ChatViewModel::resultsRequested);
  });
  connect(&chat_, &ChatViewModel::turnChanged, this, &ChatPage::scheduleTurn);
  connect(&chat_, &ChatViewModel::turnsRemoved, this, &ChatPage::showAll);
  connect(&chat_, &ChatViewModel::availableChanged, this, &ChatPage::refresh);
  connect(&chat_, &ChatViewModel::optionsChanged, this, &ChatPage::showOptions);
  connect(composer_, &Composer::sendRequested, this, [this](const QString& text) {
    thread_->scrollToEnd();
    emit chat_.sendRequested(text);
  });
  connect(composer_, &Composer::stopRequested, &chat_, &ChatViewModel::stopRequested);
  connect(composer_, &Composer::thinkingToggled, &chat_, &ChatViewModel::setThinking);
  connect(composer_, &Composer::weatherToolToggled, &chat_, &ChatViewModel::setWeatherTool);
  connect(newChat_, &QPushButton::clicked, &chat_, &ChatViewModel::newChatRequested);
  auto* stop = new QShortcut(QKeySequence(Qt::Key_Escape), this);
  stop->setContext(Qt::WidgetWithChildrenShortcut);
  connect(stop, &QShortcut::activated, this, [this] {
    if (chat_.busy()) {
      emit chat_.stopRequested();
    }
  });
  auto* fresh = new QShortcut(QKeySequence(QKeySequence::New), this);
  connect(fresh, &QShortcut::activated, newChat_, &QPushButton::click);
  showOptions();
  showAll();
}

void ChatPage::focusInEvent(QFocusEvent*) {
  composer_->setFocus();
}

QWidget* ChatPage::buildEmptyState() {
  auto* ground = new QWidget(this);
  ground->setProperty("look", QByteArray("page"));
  auto* title = makeLabel(tr("Ask the model something"), "section", ground);
  auto* note = makeLabel(
      tr("Answers come from both nodes together. Every number under an answer is the engine's."),
      "quiet",
      ground);
  note->setWordWrap(true);
  note->setAlignment(Qt::AlignHCenter);
  auto* layout = new QVBoxLayout(ground);
  layout->setSpacing(spacing::kSmall);
  layout->addStretch(1);
  layout->addWidget(title, 0, Qt::AlignHCenter);
  layout->addWidget(note);
  layout->addSpacing(spacing::kSmall);
  struct Example {
    QString text;
    bool weather;
  };
  const std::array<Example, 3> examples{
      Example{tr("What is Tandem?"), false},
      Example{tr("What is the weather in Tokyo and New York?"), true},
      Example{tr("How do I pair two Sparks?"), false}};
  for (const Example& example : examples) {
    auto* button = makeButton(example.text, "plain", ground);
    button->setToolTip(tr("Put this question into the message field"));
    connect(button, &QPushButton::clicked, this, [this, example] {
      if (example.weather) {
        chat_.setWeatherTool(true);
      }
      composer_->setText(example.text);
      composer_->setFocus();
    });
    layout->addWidget(button, 0, Qt::AlignHCenter);
  }
  layout->addStretch(2);
  return ground;
}

void ChatPage::showOptions() {
  composer_->setThinking(chat_.thinking());
  composer_->setWeatherTool(chat_.weatherTool());
}

void ChatPage::scheduleTurn(int index) {
  // A new turn, a finished one and any but the newest are rare: show them at once.
  if (index >= thread_->turnCount() || !chat_.turn(index).live()) {
    showAll();
    return;
  }
  pendingTurn_ = index;
  if (!paint_->isActive()) {
    paint_->start();
  }
}

void ChatPage::showPending() {
  if (pendingTurn_ >= 0 && pendingTurn_ < chat_.turnCount()) {
    thread_->showTurn(pendingTurn_, chat_.turn(pendingTurn_));
  }
  pendingTurn_ = -1;
}

void ChatPage::showAll() {
  pendingTurn_ = -1;
  thread_->setTurnCount(chat_.turnCount());
  // Only the last two change: the newest, and the one before it that stops being the newest.
  const int first = std::max(0, std::min(thread_->turnCount(), chat_.turnCount()) - 2);
  for (int index = first; index < chat_.turnCount(); ++index) {
    thread_->showTurn(index, chat_.turn(index));
  }
  refresh();
}

void ChatPage::refresh() {
  stack_->setCurrentIndex(chat_.turnCount() == 0 ? 0 : 1);
  newChat_->setEnabled(chat_.turnCount() > 0);
  composer_->setBusy(chat_.busy());
  composer_->setAvailable(chat_.available(), chat_.hint());
}

}  // namespace tandem::ui
