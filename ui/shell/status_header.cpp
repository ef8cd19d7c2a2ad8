// SPDX-License-Identifier: GPL-3.0-or-later
// Lays out the header and keeps it at the view-model's values.
#include "ui/shell/status_header.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/shell/panel_view_model.h"
#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/looks.h"
#include "ui/widgets/status_badge.h"

namespace tandem::ui {

namespace {

/// A caption over a figure in the monospaced font, so that changing digits do not jump.
QLabel* addFigure(QHBoxLayout& bar, const QString& caption, int digits, QWidget* parent) {
  auto* column = new QVBoxLayout;
  column->setSpacing(0);
  auto* value = makeLabel({}, "smallFigure", parent);
  value->ensurePolished();
  value->setMinimumWidth(value->fontMetrics().horizontalAdvance(QLatin1Char('0')) * digits);
  column->addWidget(makeLabel(caption, "caption", parent));
  column->addWidget(value);
  bar.addLayout(column);
  return value;
}

}  // namespace

StatusHeader::StatusHeader(const Theme& theme, PanelViewModel& panel, QWidget* parent)
    : QFrame(parent),
      theme_(theme),
      panel_(panel),
      state_(new StatusBadge(theme, this)),
      model_(new ElidedLabel(Qt::ElideRight, this)),
      endpoint_(new ElidedLabel(Qt::ElideMiddle, this)),
      copyEndpoint_(makeIconButton(tr("Copy endpoint"), this)),
      decode_(nullptr),
      kv_(nullptr),
      memory_{},
      action_(makeButton({}, "primary", this)) {
  setProperty("look", QByteArray("header"));
  setAccessibleName(tr("Engine status"));
  model_->setProperty("look", QByteArray("strong"));
  endpoint_->setProperty("look", QByteArray("numbers"));

  QSizePolicy keepsPlace = copyEndpoint_->sizePolicy();
  keepsPlace.setRetainSizeWhenHidden(true);
  copyEndpoint_->setSizePolicy(keepsPlace);

  auto* bar = new QHBoxLayout(this);
  bar->setContentsMargins(spacing::kPage, spacing::kSmall, spacing::kPage, spacing::kSmall);
  bar->setSpacing(spacing::kCard);
  bar->addWidget(state_);

  auto* identity = new QVBoxLayout;
  identity->setSpacing(0);
  identity->addWidget(model_);
  identity->addWidget(endpoint_);
  auto* engine = new QHBoxLayout;
  engine->setSpacing(spacing::kSmall);
  engine->addLayout(identity);
  engine->addWidget(copyEndpoint_);
  engine->addStretch(1);
  bar->addLayout(engine, 1);

  decode_ = addFigure(*bar, tr("Decode"), 10, this);
  kv_ = addFigure(*bar, tr("KV"), 5, this);
  memory_[0] = addFigure(*bar, tr("Head memory"), 10, this);
  memory_[1] = addFigure(*bar, tr("Worker memory"), 10, this);
  bar->addWidget(action_);

  connect(action_, &QPushButton::clicked, &panel_, &PanelViewModel::requestAction);
  connect(copyEndpoint_, &QToolButton::clicked, this, [this] {
    QGuiApplication::clipboard()->setText(panel_.engine().endpoint);
  });
  connect(&panel_, &PanelViewModel::changed, this, &StatusHeader::refresh);
  connect(&theme_, &Theme::changed, this, &StatusHeader::recolor);
  recolor();
  refresh();
}

void StatusHeader::refresh() {
  const EngineSnapshot& engine = panel_.engine();
  state_->setStatus(panel_.status(), panel_.stateWord());
  model_->setFullText(engine.model.isEmpty() ? engine.cluster : engine.model);
  endpoint_->setFullText(engine.endpoint.isEmpty() ? tr("No endpoint") : engine.endpoint);
  copyEndpoint_->setVisible(!engine.endpoint.isEmpty());
  decode_->setText(panel_.decodeText());
  decode_->setAccessibleName(tr("Decode speed %1").arg(panel_.decodeText()));
  kv_->setText(panel_.kvText());
  kv_->setToolTip(tr("KV cache held by requests"));
  kv_->setAccessibleName(tr("KV cache %1 held by requests").arg(panel_.kvText()));
  for (int rank = 0; rank < 2; ++rank) {
    QLabel* memory = memory_[static_cast<std::size_t>(rank)];
    memory->setText(panel_.memoryText(rank));
    memory->setToolTip(panel_.memoryDetail(rank));
    memory->setAccessibleName(
        (rank == 0 ? tr("Head memory %1") : tr("Worker memory %1")).arg(panel_.memoryText(rank)));
  }
  action_->setText(panel_.actionText());
  action_->setAccessibleName(panel_.actionText());
  setLook(*action_, panel_.actionStops() ? "danger" : "primary");
}

void StatusHeader::recolor() {
  copyEndpoint_->setIcon(iconNamed(QStringLiteral("copy"), theme_.palette().textQuiet));
}

}  // namespace tandem::ui
