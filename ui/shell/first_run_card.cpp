// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out the two choices.
#include "ui/shell/first_run_card.h"

#include <QFrame>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

#include "ui/theme/spacing.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kCardWidth = 560;

/// A choice: what it is, what it does, and the button.
QWidget* makeChoice(const QString& title,
                    const QString& note,
                    QPushButton* button,
                    QWidget* parent) {
  auto* frame = makeFrame("inset", parent);
  auto* text = new QVBoxLayout;
  text->setSpacing(spacing::kHair);
  text->addWidget(makeLabel(title, "strong", frame));
  auto* words = makeLabel(note, "quiet", frame);
  words->setWordWrap(true);
  text->addWidget(words);
  auto* layout = new QHBoxLayout(frame);
  layout->setContentsMargins(spacing::kCard, spacing::kCard, spacing::kCard, spacing::kCard);
  layout->setSpacing(spacing::kCard);
  layout->addLayout(text, 1);
  layout->addWidget(button, 0, Qt::AlignVCenter);
  return frame;
}

}  // namespace

FirstRunCard::FirstRunCard(QWidget* parent)
    : QWidget(parent) {
  setProperty("look", QByteArray("page"));
  setAccessibleName(tr("Welcome"));
  auto* card = makeFrame("card", this);
  card->setMaximumWidth(kCardWidth);
  auto* title = makeLabel(tr("Welcome to Tandem"), "title", card);
  auto* note = makeLabel(
      tr("Two DGX Sparks run one DeepSeek-V4 together. This window starts, watches and uses them."),
      "quiet",
      card);
  note->setWordWrap(true);

  auto* pair = makeButton(tr("Set up"), "plain", card);
  pair->setEnabled(false);
  pair->setAccessibleName(tr("Set up my two Sparks"));
  auto* demo = makeButton(tr("Look around"), "primary", card);
  demo->setAccessibleName(tr("Look around with the demo"));
  connect(demo, &QPushButton::clicked, this, &FirstRunCard::demoChosen);

  auto* inside = new QVBoxLayout(card);
  inside->setContentsMargins(spacing::kPage, spacing::kPage, spacing::kPage, spacing::kPage);
  inside->setSpacing(spacing::kCard);
  inside->addWidget(title);
  inside->addWidget(note);
  inside->addWidget(makeChoice(tr("Set up my two Sparks"),
                               tr("Pairing, link and checks arrive with cluster bring-up. This "
                                  "version does not have it yet."),
                               pair,
                               card));
  inside->addWidget(
      makeChoice(tr("Look around with the demo"),
                 tr("A small trained DeepSeek-V4 on this machine: two real engine processes, the "
                    "same loader, the same server."),
                 demo,
                 card));

  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(spacing::kPage, spacing::kPage, spacing::kPage, spacing::kPage);
  auto* row = new QHBoxLayout;
  row->addStretch(1);
  row->addWidget(card, 1000);
  row->addStretch(1);
  layout->addStretch(2);
  layout->addLayout(row);
  layout->addStretch(3);
  setFocusProxy(demo);
}

}  // namespace tandem::ui
