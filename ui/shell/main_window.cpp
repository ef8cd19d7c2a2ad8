// SPDX-License-Identifier: GPL-3.0-or-later
// Assembles the window and its shortcuts.
#include "ui/shell/main_window.h"

#include <QIcon>
#include <QShortcut>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/shell/first_run_card.h"
#include "ui/shell/navigation_rail.h"
#include "ui/shell/notice_bar.h"
#include "ui/shell/panel_view_model.h"
#include "ui/shell/status_header.h"
#include "ui/theme/theme.h"

namespace tandem::ui {

namespace {

constexpr QSize kFirstSize{1180, 800};
constexpr QSize kSmallestSize{900, 600};
constexpr double kTextStep = 1.1;

}  // namespace

MainWindow::MainWindow(const PageContext& context, const std::vector<PageEntry>& pages)
    : theme_(context.theme),
      pages_(pages),
      rail_(new NavigationRail(context.theme, pages, this)),
      header_(new StatusHeader(context.theme, context.panel, this)),
      notice_(new NoticeBar(context.theme, this)),
      stack_(new QStackedWidget(this)) {
  setWindowTitle(QStringLiteral("Tandem"));
  setWindowIcon(QIcon(QStringLiteral(":/icons/tandem.svg")));
  setMinimumSize(kSmallestSize);
  resize(kFirstSize);

  for (const PageEntry& page : pages_) {
    stack_->addWidget(page.create(context, stack_));
  }
  auto* centre = new QWidget(this);
  auto* right = new QVBoxLayout;
  right->setSpacing(0);
  right->addWidget(header_);
  right->addWidget(notice_);
  right->addWidget(stack_, 1);
  auto* layout = new QHBoxLayout(centre);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addWidget(rail_);
  layout->addLayout(right, 1);
  setCentralWidget(centre);

  connect(rail_, &NavigationRail::pageChosen, this, &MainWindow::showPageAt);
  connect(&context.panel, &PanelViewModel::said, notice_, &NoticeBar::say);
  addShortcuts();
  showPageAt(0);
}

void MainWindow::addShortcuts() {
  for (int i = 0; i < static_cast<int>(pages_.size()); ++i) {
    auto* open = new QShortcut(QKeySequence(Qt::CTRL | Qt::Key(Qt::Key_1 + i)), this);
    connect(open, &QShortcut::activated, this, [this, i] { showPageAt(i); });
  }
  const auto onKey = [this](const QKeySequence& keys, auto action) {
    auto* shortcut = new QShortcut(keys, this);
    connect(shortcut, &QShortcut::activated, this, action);
  };
  onKey(QKeySequence(QKeySequence::ZoomIn), [this] { scaleText(kTextStep); });
  onKey(QKeySequence(Qt::CTRL | Qt::Key_Equal), [this] { scaleText(kTextStep); });
  onKey(QKeySequence(QKeySequence::ZoomOut), [this] { scaleText(1 / kTextStep); });
  onKey(QKeySequence(Qt::CTRL | Qt::Key_0), [this] { theme_.setTextScale(1); });
}

void MainWindow::scaleText(double factor) {
  theme_.setTextScale(theme_.textScale() * factor);
}

void MainWindow::showPageAt(int index) {
  if (firstRun_ != nullptr) {
    return;
  }
  stack_->setCurrentIndex(index);
  rail_->setCurrent(index);
  stack_->currentWidget()->setFocus();
}

bool MainWindow::showPage(const QString& id) {
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    if (pages_[i].id == id) {
      showPageAt(static_cast<int>(i));
      return true;
    }
  }
  return false;
}

QString MainWindow::currentPage() const {
  return firstRun_ != nullptr ? QString()
                              : pages_[static_cast<std::size_t>(stack_->currentIndex())].id;
}

void MainWindow::showFirstRun() {
  firstRun_ = new FirstRunCard(stack_);
  stack_->setCurrentIndex(stack_->addWidget(firstRun_));
  rail_->setPagesEnabled(false);
  header_->hide();
  connect(firstRun_, &FirstRunCard::demoChosen, this, [this] {
    stack_->removeWidget(firstRun_);
    firstRun_->deleteLater();
    firstRun_ = nullptr;
    rail_->setPagesEnabled(true);
    header_->show();
    showPageAt(0);
    emit demoChosen();
  });
  firstRun_->setFocus();
}

}  // namespace tandem::ui
