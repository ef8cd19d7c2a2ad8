// SPDX-License-Identifier: GPL-3.0-or-later
// Grows with its text up to a limit and turns keys into requests.
#include "ui/pages/chat/composer.h"

#include <algorithm>

#include <QAbstractTextDocumentLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTextDocument>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kMostLines = 8;

}  // namespace

Composer::Composer(const Theme& theme, QWidget* parent)
    : QFrame(parent),
      theme_(theme),
      edit_(new QPlainTextEdit(this)),
      thinking_(makeToggle(tr("Thinking"), "chip", this)),
      weather_(makeToggle(tr("Weather tool"), "chip", this)),
      send_(makeButton(tr("Send"), "primary", this)) {
  setProperty("look", QByteArray("composer"));
  edit_->setAccessibleName(tr("Message"));
  edit_->setTabChangesFocus(true);
  edit_->setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  edit_->setFont(theme_.font(TextRole::Chat));
  edit_->installEventFilter(this);
  setFocusProxy(edit_);
  thinking_->setToolTip(tr("Let the model reason before it answers"));
  weather_->setToolTip(tr("Offer the model the tool get_weather; you type or accept its result"));

  auto* bar = new QHBoxLayout;
  bar->setSpacing(spacing::kSmall);
  bar->addWidget(thinking_);
  bar->addWidget(weather_);
  bar->addStretch(1);
  bar->addWidget(send_);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(spacing::kMedium, spacing::kSmall, spacing::kMedium, spacing::kMedium);
  layout->setSpacing(spacing::kSmall);
  layout->addWidget(edit_);
  layout->addLayout(bar);

  connect(edit_, &QPlainTextEdit::textChanged, this, [this] {
    fitHeight();
    showButton();
  });
  connect(send_, &QPushButton::clicked, this, [this] {
    if (busy_) {
      emit stopRequested();
    } else {
      submit();
    }
  });
  connect(thinking_, &QToolButton::toggled, this, &Composer::thinkingToggled);
  connect(weather_, &QToolButton::toggled, this, &Composer::weatherToolToggled);
  connect(&theme_, &Theme::changed, this, &Composer::recolor);
  recolor();
  fitHeight();
  showButton();
}

void Composer::setBusy(bool busy) {
  busy_ = busy;
  showButton();
}

void Composer::setAvailable(bool available, const QString& hint) {
  available_ = available;
  edit_->setPlaceholderText(hint);
  showButton();
}

void Composer::setText(const QString& text) {
  edit_->setPlainText(text);
  edit_->moveCursor(QTextCursor::End);
}

QString Composer::text() const {
  return edit_->toPlainText();
}

bool Composer::thinking() const {
  return thinking_->isChecked();
}

bool Composer::weatherTool() const {
  return weather_->isChecked();
}

void Composer::setThinking(bool on) {
  thinking_->setChecked(on);
}

void Composer::setWeatherTool(bool on) {
  weather_->setChecked(on);
}

bool Composer::eventFilter(QObject* watched, QEvent* event) {
  if (watched == edit_ && event->type() == QEvent::KeyPress) {
    const auto* key = static_cast<QKeyEvent*>(event);
    const bool enter = key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter;
    if (enter && !key->modifiers().testFlag(Qt::ShiftModifier)) {
      submit();
      return true;
    }
  }
  return QFrame::eventFilter(watched, event);
}

void Composer::submit() {
  const QString text = edit_->toPlainText().trimmed();
  if (busy_ || !available_ || text.isEmpty()) {
    return;
  }
  edit_->clear();
  emit sendRequested(text);
}

void Composer::fitHeight() {
  // A plain text document counts its height in lines.
  const int lines = std::clamp(static_cast<int>(edit_->document()->size().height()), 1, kMostLines);
  const QFontMetrics metrics(edit_->font());
  const int frame = 2 * static_cast<int>(edit_->document()->documentMargin()) + 2;
  edit_->setFixedHeight(lines * metrics.lineSpacing() + frame);
}

void Composer::showButton() {
  const QString word = busy_ ? tr("Stop") : tr("Send");
  send_->setText(word);
  send_->setAccessibleName(busy_ ? tr("Stop the answer") : tr("Send message"));
  send_->setToolTip(busy_ ? tr("Stop the answer (Esc)") : tr("Send (Ctrl+Return)"));
  setLook(*send_, busy_ ? "danger" : "primary");
  send_->setEnabled(busy_ || (available_ && !edit_->toPlainText().trimmed().isEmpty()));
}

void Composer::recolor() {
  edit_->setFont(theme_.font(TextRole::Chat));
  thinking_->setIcon(iconNamed(QStringLiteral("thinking"), theme_.palette().textNormal));
  weather_->setIcon(iconNamed(QStringLiteral("tool"), theme_.palette().textNormal));
  fitHeight();
}

}  // namespace tandem::ui
