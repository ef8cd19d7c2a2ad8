// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out a tool call card; the result can be edited until it is sent.
#include "ui/pages/chat/tool_call_view.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPlainTextEdit>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kResultHeight = 48;
constexpr int kIcon = 16;

QString stateText(const ToolCallCard& call, TurnStage stage) {
  switch (stage) {
    case TurnStage::Waiting:
    case TurnStage::Thinking:
    case TurnStage::Answering:
      return ToolCallView::tr("being written");
    case TurnStage::Finished:
      return call.answered ? ToolCallView::tr("answered")
                           : ToolCallView::tr("waiting for a result");
    case TurnStage::Stopped:
    case TurnStage::Failed:
      return ToolCallView::tr("not run");
  }
  return {};
}

}  // namespace

ToolCallView::ToolCallView(const Theme& theme, QWidget* parent)
    : QFrame(parent),
      theme_(theme),
      icon_(new QLabel(this)),
      name_(makeLabel({}, "code", this)),
      state_(makeLabel({}, "caption", this)),
      raw_(makeToggle(tr("Raw"), "segment", this)),
      arguments_(makeLabel({}, "code", this)),
      resultTitle_(makeLabel({}, "caption", this)),
      result_(new QPlainTextEdit(this)) {
  setProperty("look", QByteArray("card"));
  arguments_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  arguments_->setWordWrap(true);
  arguments_->setAccessibleName(tr("Arguments"));
  result_->setProperty("look", QByteArray("result"));
  result_->setFixedHeight(kResultHeight);
  result_->setTabChangesFocus(true);
  result_->setAccessibleName(tr("Tool result"));
  raw_->setToolTip(tr("Show the arguments exactly as the model wrote them"));

  auto* head = new QHBoxLayout;
  head->setSpacing(spacing::kSmall);
  head->addWidget(icon_);
  head->addWidget(name_);
  head->addWidget(state_);
  head->addStretch(1);
  head->addWidget(raw_);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(spacing::kCard, spacing::kSmall, spacing::kCard, spacing::kMedium);
  layout->setSpacing(spacing::kSmall);
  layout->addLayout(head);
  layout->addWidget(arguments_);
  layout->addWidget(resultTitle_);
  layout->addWidget(result_);
  connect(raw_, &QToolButton::toggled, this, &ToolCallView::showArguments);
  connect(&theme_, &Theme::changed, this, &ToolCallView::recolor);
  recolor();
}

void ToolCallView::setCall(const ToolCallCard& call, TurnStage stage) {
  const bool fresh = call.id != call_.id || call.result != call_.result;
  call_ = call;
  setAccessibleName(tr("Tool call %1").arg(call.name));
  name_->setText(call.name);
  state_->setText(stateText(call, stage));
  showArguments();
  if (fresh) {
    result_->setPlainText(call.result);
  }
  result_->setReadOnly(call.answered);
  resultTitle_->setText(call.answered ? tr("Result sent to the model")
                                      : tr("Result for the model: made up, edit it as you like"));
  resultTitle_->setVisible(stage == TurnStage::Finished);
  result_->setVisible(stage == TurnStage::Finished);
}

QString ToolCallView::result() const {
  return result_->toPlainText();
}

QWidget* ToolCallView::lastControl() const {
  return result_;
}

void ToolCallView::showArguments() {
  arguments_->setText(raw_->isChecked() ? call_.rawArguments : call_.arguments);
}

void ToolCallView::recolor() {
  icon_->setPixmap(iconNamed(QStringLiteral("tool"), theme_.palette().busy).pixmap(kIcon, kIcon));
}

}  // namespace tandem::ui
