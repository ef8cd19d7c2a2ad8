// SPDX-License-Identifier: GPL-3.0-or-later
// What a new user sees: two ways to begin.
#pragma once

#include <QWidget>

namespace tandem::ui {

class FirstRunCard : public QWidget {
  Q_OBJECT

 public:
  explicit FirstRunCard(QWidget* parent = nullptr);

 signals:
  void demoChosen();
};

}  // namespace tandem::ui
