// SPDX-License-Identifier: GPL-3.0-or-later
// Builds one button per page.
#include "ui/shell/navigation_rail.h"

#include <QButtonGroup>
#include <QHBoxLayout>
#include <QLabel>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/looks.h"

namespace tandem::ui {

namespace {

constexpr int kWidth = 176;
constexpr int kMark = 28;
constexpr QSize kIcon{20, 20};
// A tool button leaves only four pixels between its icon and its text.
const QString kGap = QStringLiteral(" ");

}  // namespace

NavigationRail::NavigationRail(Theme& theme, const std::vector<PageEntry>& pages, QWidget* parent)
    : QFrame(parent),
      theme_(theme),
      buttons_(new QButtonGroup(this)),
      mode_(makeToggle({}, "nav", this)) {
  setProperty("look", QByteArray("rail"));
  setAccessibleName(tr("Pages"));
  setFixedWidth(kWidth);

  auto* mark = new QLabel(this);
  mark->setPixmap(QIcon(QStringLiteral(":/icons/tandem.svg")).pixmap(kMark, kMark));
  auto* brand = new QHBoxLayout;
  brand->setContentsMargins(spacing::kSmall, spacing::kHair, 0, spacing::kCard);
  brand->setSpacing(spacing::kSmall);
  brand->addWidget(mark);
  brand->addWidget(makeLabel(QStringLiteral("Tandem"), "brand", this), 1);

  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(spacing::kSmall, spacing::kMedium, spacing::kSmall, spacing::kMedium);
  layout->setSpacing(spacing::kHair);
  layout->addLayout(brand);
  int index = 0;
  for (const PageEntry& page : pages) {
    auto* button = makeToggle(kGap + page.title, "nav", this);
    button->setAccessibleName(page.title);
    button->setIconSize(kIcon);
    button->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    button->setToolTip(tr("%1 (Ctrl+%2)").arg(page.title).arg(index + 1));
    buttons_->addButton(button, index);
    icons_.push_back(page.icon);
    layout->addWidget(button);
    ++index;
  }
  layout->addStretch(1);
  mode_->setCheckable(false);
  mode_->setIconSize(kIcon);
  mode_->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  layout->addWidget(mode_);
  if (!pages.empty()) {
    setTabOrder(buttons_->buttons().last(), mode_);
  }

  connect(buttons_, &QButtonGroup::idClicked, this, &NavigationRail::pageChosen);
  connect(mode_, &QToolButton::clicked, this, [this] {
    theme_.setMode(theme_.mode() == ThemeMode::Dark ? ThemeMode::Light : ThemeMode::Dark);
  });
  connect(&theme_, &Theme::changed, this, &NavigationRail::recolor);
  recolor();
}

void NavigationRail::setCurrent(int page) {
  buttons_->button(page)->setChecked(true);
}

void NavigationRail::setPagesEnabled(bool enabled) {
  for (QAbstractButton* button : buttons_->buttons()) {
    button->setEnabled(enabled);
  }
}

void NavigationRail::recolor() {
  const QColor color = theme_.palette().textNormal;
  for (std::size_t i = 0; i < icons_.size(); ++i) {
    buttons_->button(static_cast<int>(i))->setIcon(iconNamed(icons_[i], color));
  }
  const bool dark = theme_.mode() == ThemeMode::Dark;
  const QString text = dark ? tr("Light theme") : tr("Dark theme");
  mode_->setText(kGap + text);
  mode_->setAccessibleName(text);
  mode_->setIcon(iconNamed(dark ? QStringLiteral("sun") : QStringLiteral("moon"), color));
}

}  // namespace tandem::ui
