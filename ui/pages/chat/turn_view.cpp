// SPDX-License-Identifier: GPL-3.0-or-later
// Shows the parts of a turn that exist and hides the others.
#include "ui/pages/chat/turn_view.h"

#include <QClipboard>
#include <QFrame>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/pages/chat/markdown_view.h"
#include "ui/pages/chat/reasoning_fold.h"
#include "ui/pages/chat/tool_call_view.h"
#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kWidestBubbleText = 520;

}  // namespace

TurnView::TurnView(const Theme& theme, bool fromUser, QWidget* parent)
    : QWidget(parent),
      theme_(theme) {
  turn_.fromUser = fromUser;
  if (fromUser) {
    buildUser();
  } else {
    buildAnswer();
  }
}

void TurnView::buildUser() {
  setAccessibleName(tr("Your message"));
  auto* bubble = makeFrame("bubble", this);
  userText_ = makeLabel({}, "bubbleText", bubble);
  userText_->setWordWrap(true);
  userText_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  auto* inside = new QVBoxLayout(bubble);
  inside->setContentsMargins(spacing::kCard, spacing::kMedium, spacing::kCard, spacing::kMedium);
  inside->addWidget(userText_);
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(spacing::kThreadWidth / 6, 0, 0, 0);
  layout->addStretch(1);
  layout->addWidget(bubble);
}

void TurnView::buildAnswer() {
  setAccessibleName(tr("Answer"));
  progress_ = makeLabel({}, "quiet", this);
  reasoning_ = new ReasoningFold(theme_, this);
  answer_ = new MarkdownView(theme_, this);
  calls_ = new QWidget(this);
  auto* callsLayout = new QVBoxLayout(calls_);
  callsLayout->setContentsMargins(0, 0, 0, 0);
  callsLayout->setSpacing(spacing::kSmall);
  sendResults_ = makeButton(tr("Send results to the model"), "primary", this);
  sendResults_->setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);

  notice_ = makeFrame("notice", this);
  noticeWhat_ = makeLabel({}, "strong", notice_);
  noticeRemedy_ = makeLabel({}, "label", notice_);
  noticeWhat_->setWordWrap(true);
  noticeRemedy_->setWordWrap(true);
  retry_ = makeButton(tr("Retry"), "plain", notice_);
  retry_->setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
  auto* noticeLayout = new QVBoxLayout(notice_);
  noticeLayout->setContentsMargins(spacing::kCard,
                                   spacing::kMedium,
                                   spacing::kCard,
                                   spacing::kMedium);
  noticeLayout->setSpacing(spacing::kSmall);
  noticeLayout->addWidget(noticeWhat_);
  noticeLayout->addWidget(noticeRemedy_);
  noticeLayout->addWidget(retry_);

  numbers_ = makeLabel({}, "numbers", this);
  numbers_->setWordWrap(true);
  actions_ = new QWidget(this);
  copy_ = makeIconButton(tr("Copy answer"), actions_);
  regenerate_ = makeIconButton(tr("Regenerate answer"), actions_);
  auto* actions = new QHBoxLayout(actions_);
  actions->setContentsMargins(0, 0, 0, 0);
  actions->setSpacing(spacing::kHair);
  actions->addWidget(copy_);
  actions->addWidget(regenerate_);
  actions->addSpacing(spacing::kSmall);
  actions->addWidget(numbers_, 1);

  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(spacing::kSmall);
  layout->addWidget(reasoning_);
  layout->addWidget(answer_);
  layout->addWidget(progress_);
  layout->addWidget(calls_);
  layout->addWidget(sendResults_);
  layout->addWidget(notice_);
  layout->addWidget(actions_);

  connect(copy_, &QToolButton::clicked, this, [this] {
    QGuiApplication::clipboard()->setText(turn_.text);
  });
  connect(regenerate_, &QToolButton::clicked, this, &TurnView::regenerateRequested);
  connect(retry_, &QPushButton::clicked, this, &TurnView::regenerateRequested);
  connect(sendResults_, &QPushButton::clicked, this, &TurnView::sendResults);
  connect(&theme_, &Theme::changed, this, &TurnView::recolor);
  recolor();
}

void TurnView::setTurn(const ChatTurn& turn, bool newest) {
  turn_ = turn;
  if (turn.fromUser) {
    if (userText_->text() != turn.text) {
      // A short message gets a bubble of its own width; a label that wraps would take more.
      const int width = userText_->fontMetrics().size(0, turn.text).width();
      const bool wraps = width > kWidestBubbleText;
      userText_->setWordWrap(wraps);
      userText_->setMinimumWidth(wraps ? kWidestBubbleText : 0);
      userText_->setText(turn.text);
    }
    return;
  }
  const bool thinking = turn.stage == TurnStage::Thinking;
  reasoning_->setVisible(!turn.reasoning.isEmpty());
  reasoning_->setReasoning(thinking ? turn.progress : turn.reasoningSummary, turn.reasoning);
  answer_->setVisible(!turn.text.isEmpty());
  answer_->setMarkdown(turn.text);
  progress_->setVisible(turn.live() && !(thinking && !turn.reasoning.isEmpty()));
  progress_->setText(turn.progress);
  showCalls(turn, newest);
  showEnd(turn, newest);
}

void TurnView::showCalls(const ChatTurn& turn, bool newest) {
  calls_->setVisible(!turn.calls.empty());
  while (callViews_.size() > turn.calls.size()) {
    delete callViews_.back();
    callViews_.pop_back();
  }
  while (callViews_.size() < turn.calls.size()) {
    callViews_.push_back(new ToolCallView(theme_, calls_));
    calls_->layout()->addWidget(callViews_.back());
    setTabOrder(callViews_.back()->lastControl(), sendResults_);
    setTabOrder(sendResults_, copy_);
    setTabOrder(copy_, regenerate_);
  }
  for (std::size_t i = 0; i < callViews_.size(); ++i) {
    callViews_[i]->setCall(turn.calls[i], turn.stage);
  }
  sendResults_->setVisible(newest && !turn.live() && turn.stage == TurnStage::Finished &&
                           turn.awaitsResults());
}

void TurnView::showEnd(const ChatTurn& turn, bool newest) {
  notice_->setVisible(turn.stage == TurnStage::Failed);
  noticeWhat_->setText(turn.error.what);
  noticeRemedy_->setText(turn.error.remedy);
  noticeRemedy_->setVisible(!turn.error.remedy.isEmpty());
  retry_->setVisible(newest);
  actions_->setVisible(!turn.live());
  copy_->setVisible(!turn.text.isEmpty());
  regenerate_->setVisible(newest && turn.stage != TurnStage::Failed);
  numbers_->setText(turn.numbers);
}

void TurnView::sendResults() {
  std::vector<ToolResult> results;
  results.reserve(callViews_.size());
  for (const ToolCallView* call : callViews_) {
    results.push_back({call->callId(), call->result()});
  }
  emit resultsReady(results);
}

void TurnView::recolor() {
  const QColor color = theme_.palette().textNormal;
  copy_->setIcon(iconNamed(QStringLiteral("copy"), color));
  regenerate_->setIcon(iconNamed(QStringLiteral("refresh"), color));
}

}  // namespace tandem::ui
