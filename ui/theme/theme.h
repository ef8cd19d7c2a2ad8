// SPDX-License-Identifier: GPL-3.0-or-later
// The look of the application: palette, fonts and text size, changed while it runs.
#pragma once

#include <QFont>
#include <QObject>

#include "ui/theme/palette.h"

class QApplication;

namespace tandem::ui {

enum class TextRole {
  HeroFigure,
  TileFigure,
  SmallFigure,
  PageTitle,
  Section,
  Chat,
  Body,
  Label,
  Caption,
  Code,
};

/// Owns the current mode and text scale and gives the application its palette, font and style
/// sheet. Widgets that paint themselves read `palette()` and `font()` in their paint event, so a
/// switch needs nothing from them but the repaint that Qt already sends; documents and icons with
/// baked-in colours listen to `changed`. GUI thread.
class Theme : public QObject {
  Q_OBJECT

 public:
  static constexpr double kSmallestScale = 0.8;
  static constexpr double kLargestScale = 1.6;

  explicit Theme(QApplication& application);

  [[nodiscard]] ThemeMode mode() const { return mode_; }
  [[nodiscard]] const Palette& palette() const { return paletteOf(mode_); }
  [[nodiscard]] double textScale() const { return textScale_; }

  [[nodiscard]] QFont font(TextRole role) const;
  /// `pixels` at 100 % in the current text scale.
  [[nodiscard]] int scaled(int pixels) const;

  void setMode(ThemeMode mode);
  void setTextScale(double scale);

 signals:
  void changed();

 private:
  void apply();

  QApplication& application_;
  ThemeMode mode_ = ThemeMode::Dark;
  double textScale_ = 1.0;
};

}  // namespace tandem::ui
