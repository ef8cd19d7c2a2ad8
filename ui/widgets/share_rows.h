// SPDX-License-Identifier: GPL-3.0-or-later
// A few shares below each other, each a name, a bar from 0 to 100 % and a figure.
#pragma once

#include <optional>
#include <vector>

#include <QColor>
#include <QWidget>

#include "ui/theme/palette.h"

namespace tandem::ui {

class Theme;

struct ShareRow {
  QString name;
  std::optional<double> share;  // 0..1; unknown is a dash and no bar

  friend bool operator==(const ShareRow&, const ShareRow&) = default;
};

/// The accessible description says every row. GUI thread.
class ShareRows : public QWidget {
  Q_OBJECT

 public:
  ShareRows(const Theme& theme,
            const QString& title,
            QColor Palette::*color,
            QWidget* parent = nullptr);

  void setRows(std::vector<ShareRow> rows);

  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override { return sizeHint(); }

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  [[nodiscard]] int rowHeight() const;
  [[nodiscard]] int nameWidth() const;

  const Theme& theme_;
  QColor Palette::*color_;
  std::vector<ShareRow> rows_;
};

}  // namespace tandem::ui
