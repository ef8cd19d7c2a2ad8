// SPDX-License-Identifier: GPL-3.0-or-later
// A status as shape, word and colour.
#pragma once

#include <QWidget>

#include "ui/widgets/status_glyph.h"

namespace tandem::ui {

class Theme;

class StatusBadge : public QWidget {
  Q_OBJECT

 public:
  explicit StatusBadge(const Theme& theme, QWidget* parent = nullptr);

  void setStatus(Status status, const QString& word);
  [[nodiscard]] QString word() const { return word_; }
  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override { return sizeHint(); }

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  const Theme& theme_;
  Status status_ = Status::Off;
  QString word_;
};

}  // namespace tandem::ui
