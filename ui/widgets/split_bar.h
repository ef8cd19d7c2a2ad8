// SPDX-License-Identifier: GPL-3.0-or-later
// One bar in parts, with a legend below: how a whole is divided.
#pragma once

#include <vector>

#include <QColor>
#include <QWidget>

#include "ui/theme/palette.h"

namespace tandem::ui {

class Theme;

/// How a part is told from its neighbours without colour.
enum class PartFill { Solid, Hatched, Empty };

struct BarPart {
  QString name;
  QString text;      // the value, as the legend shows it
  double value = 0;  // any unit, the same for all parts
  QColor Palette::*color = &Palette::accent;
  PartFill fill = PartFill::Solid;
};

/// Without parts, or when they are all 0, the bar is an outline. A part above 0 is at least two
/// pixels wide. The accessible description is the legend. GUI thread.
class SplitBar : public QWidget {
  Q_OBJECT

 public:
  SplitBar(const Theme& theme, const QString& title, QWidget* parent = nullptr);

  void setParts(std::vector<BarPart> parts);

  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  const Theme& theme_;
  std::vector<BarPart> parts_;
};

}  // namespace tandem::ui
