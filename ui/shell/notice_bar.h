// SPDX-License-Identifier: GPL-3.0-or-later
// One sentence under the header that a person can dismiss.
#pragma once

#include <QFrame>

class QLabel;
class QToolButton;

namespace tandem::ui {

class Theme;

class NoticeBar : public QFrame {
  Q_OBJECT

 public:
  explicit NoticeBar(const Theme& theme, QWidget* parent = nullptr);

  /// "" takes back what was said.
  void say(const QString& sentence);

 private:
  void recolor();

  const Theme& theme_;
  QLabel* text_;
  QToolButton* close_;
};

}  // namespace tandem::ui
