// SPDX-License-Identifier: GPL-3.0-or-later
// Hands palette, font and style sheet to the application.
#include "ui/theme/theme.h"

#include <algorithm>
#include <cmath>

#include <QApplication>
#include <QPalette>
#include <QStyleFactory>

#include "ui/theme/style_sheet.h"

/// Icons live in a static library, which has to be told to register them.
static void registerResources() {
  Q_INIT_RESOURCE(tandem);
}

namespace tandem::ui {

namespace {

constexpr char kSans[] = "Inter";
constexpr char kMono[] = "JetBrains Mono";

struct RoleFont {
  const char* family;
  int pixels;
  QFont::Weight weight;
};

RoleFont roleFont(TextRole role) {
  switch (role) {
    case TextRole::HeroFigure:
      return {kMono, 40, QFont::Medium};
    case TextRole::TileFigure:
      return {kMono, 24, QFont::Medium};
    case TextRole::SmallFigure:
      return {kMono, 14, QFont::Medium};
    case TextRole::PageTitle:
      return {kSans, 20, QFont::DemiBold};
    case TextRole::Section:
      return {kSans, 16, QFont::DemiBold};
    case TextRole::Chat:
      return {kSans, 15, QFont::Normal};
    case TextRole::Body:
      return {kSans, 14, QFont::Normal};
    case TextRole::Label:
      return {kSans, 13, QFont::Normal};
    case TextRole::Caption:
      return {kSans, 12, QFont::Normal};
    case TextRole::Code:
      return {kMono, 13, QFont::Normal};
  }
  return {kSans, 14, QFont::Normal};
}

QPalette qtPalette(const Palette& colours) {
  QPalette palette;
  palette.setColor(QPalette::Window, colours.ground);
  palette.setColor(QPalette::WindowText, colours.textNormal);
  palette.setColor(QPalette::Base, colours.card);
  palette.setColor(QPalette::AlternateBase, colours.raised);
  palette.setColor(QPalette::Text, colours.textStrong);
  palette.setColor(QPalette::PlaceholderText, colours.textQuiet);
  palette.setColor(QPalette::Button, colours.raised);
  palette.setColor(QPalette::ButtonText, colours.textStrong);
  palette.setColor(QPalette::BrightText, colours.bad);
  palette.setColor(QPalette::Highlight, colours.accent);
  palette.setColor(QPalette::HighlightedText, colours.onAccent);
  palette.setColor(QPalette::Link, colours.link);
  palette.setColor(QPalette::LinkVisited, colours.link);
  palette.setColor(QPalette::ToolTipBase, colours.raised);
  palette.setColor(QPalette::ToolTipText, colours.textStrong);
  palette.setColor(QPalette::Disabled, QPalette::Text, colours.textQuiet);
  palette.setColor(QPalette::Disabled, QPalette::ButtonText, colours.textQuiet);
  return palette;
}

}  // namespace

Theme::Theme(QApplication& application)
    : application_(application) {
  registerResources();
  QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
  apply();
}

QFont Theme::font(TextRole role) const {
  const RoleFont chosen = roleFont(role);
  QFont font(QString::fromLatin1(chosen.family));
  font.setStyleHint(chosen.family == kMono ? QFont::Monospace : QFont::SansSerif);
  font.setPixelSize(scaled(chosen.pixels));
  font.setWeight(chosen.weight);
  return font;
}

int Theme::scaled(int pixels) const {
  return static_cast<int>(std::lround(pixels * textScale_));
}

void Theme::setMode(ThemeMode mode) {
  if (mode != mode_) {
    mode_ = mode;
    apply();
  }
}

void Theme::setTextScale(double scale) {
  scale = std::clamp(scale, kSmallestScale, kLargestScale);
  if (scale != textScale_) {
    textScale_ = scale;
    apply();
  }
}

void Theme::apply() {
  QApplication::setFont(font(TextRole::Body));
  QApplication::setPalette(qtPalette(palette()));
  application_.setStyleSheet(styleSheetOf(palette(), textScale_));
  emit changed();
}

}  // namespace tandem::ui
