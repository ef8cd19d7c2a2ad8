// SPDX-License-Identifier: GPL-3.0-or-later
// One template; colours and sizes are filled in by name.
#include "ui/theme/style_sheet.h"

#include <cmath>
#include <utility>

namespace tandem::ui {

namespace {

// @name is a colour of the palette, #n# a font size in pixels at 100 %.
constexpr char kTemplate[] = R"(
* { outline: none; }
QWidget { color: @textNormal; font-size: #14#; }
QMainWindow, QWidget[look="page"] { background: @ground; }
QScrollArea, QScrollArea > QWidget > QWidget[look="page"] { background: @ground; border: none; }
QToolTip { background: @raised; color: @textStrong; border: 1px solid @divider; padding: 4px 8px;
  font-size: #13#; }

QFrame[look="card"] { background: @card; border: 1px solid @divider; border-radius: 8px; }
QFrame[look="header"] { background: @card; border: none; border-bottom: 1px solid @divider; }
QFrame[look="rail"] { background: @card; border: none; border-right: 1px solid @divider; }
QFrame[look="bubble"] { background: @raised; border: none; border-radius: 8px; }
QFrame[look="notice"] { background: @badTint; border: 1px solid @bad; border-radius: 8px; }
QFrame[look="news"] { background: @accentTint; border: none; border-bottom: 1px solid @divider; }
QFrame[look="inset"] { background: @ground; border: 1px solid @divider; border-radius: 4px; }
QFrame[look="line"] { background: @divider; border: none; }

QLabel { background: transparent; }
QLabel[look="title"] { color: @textStrong; font-size: #20#; font-weight: 600; }
QLabel[look="section"] { color: @textStrong; font-size: #16#; font-weight: 600; }
QLabel[look="strong"] { color: @textStrong; font-weight: 500; }
QLabel[look="bubbleText"] { color: @textStrong; font-size: #15#; }
QLabel[look="label"] { font-size: #13#; }
QLabel[look="quiet"] { color: @textQuiet; font-size: #13#; }
QLabel[look="caption"] { color: @textQuiet; font-size: #12#; }
QLabel[look="brand"] { color: @textStrong; font-size: #16#; font-weight: 600; }
QLabel[look="figure"] { color: @textStrong; font-family: "JetBrains Mono"; font-size: #24#;
  font-weight: 500; }
QLabel[look="oldFigure"] { color: @textQuiet; font-family: "JetBrains Mono"; font-size: #24#;
  font-weight: 500; }
QLabel[look="smallFigure"] { color: @textStrong; font-family: "JetBrains Mono"; font-size: #14#;
  font-weight: 500; }
QLabel[look="code"] { color: @textStrong; font-family: "JetBrains Mono"; font-size: #13#; }
QLabel[look="numbers"] { color: @textQuiet; font-family: "JetBrains Mono"; font-size: #12#; }

QPushButton, QToolButton { background: @raised; color: @textStrong; border: 1px solid @outline;
  border-radius: 4px; padding: 0 12px; min-height: 30px; font-size: #13#; font-weight: 500; }
QPushButton:hover, QToolButton:hover { background: @hover; }
QPushButton:pressed, QToolButton:pressed { background: @pressed; }
QPushButton:focus, QToolButton:focus { border: 2px solid @accent; padding: 0 11px;
  min-height: 28px; }
QPushButton:disabled, QToolButton:disabled { color: @textQuiet; border-color: @divider;
  background: @card; }
QPushButton[look="primary"] { background: @accent; color: @onAccent; border: 2px solid @accent;
  padding: 0 16px; min-height: 32px; font-weight: 600; }
QPushButton[look="primary"]:hover { background: @accentHover; border-color: @accentHover; }
QPushButton[look="primary"]:focus { border: 2px solid @textStrong; padding: 0 16px;
  min-height: 32px; }
QPushButton[look="primary"]:disabled { background: @raised; color: @textQuiet;
  border-color: @raised; }
QPushButton[look="danger"] { background: transparent; color: @bad; border: 1px solid @bad;
  padding: 0 16px; min-height: 34px; font-weight: 600; }
QPushButton[look="danger"]:hover { background: @badTint; }
QPushButton[look="danger"]:focus { border: 2px solid @bad; padding: 0 15px; min-height: 32px; }
QPushButton[look="danger"]:disabled { color: @textQuiet; border-color: @divider; }
QPushButton[look="ghost"], QToolButton[look="ghost"], QToolButton[look="icon"] {
  background: transparent; border: 2px solid transparent; color: @textNormal; padding: 0 8px;
  min-height: 28px; }
QToolButton[look="icon"] { padding: 0; min-width: 28px; }
QPushButton[look="ghost"]:hover, QToolButton[look="ghost"]:hover, QToolButton[look="icon"]:hover {
  background: @hover; color: @textStrong; }
QPushButton[look="ghost"]:focus, QToolButton[look="ghost"]:focus, QToolButton[look="icon"]:focus {
  border: 2px solid @accent; }
QPushButton[look="ghost"]:disabled, QToolButton[look="ghost"]:disabled { color: @textQuiet; }
QToolButton[look="chip"] { background: transparent; border: 1px solid @outline;
  border-radius: 14px; padding: 0 12px; min-height: 26px; color: @textNormal; }
QToolButton[look="chip"]:hover { background: @hover; }
QToolButton[look="chip"]:checked { background: @accentTint; border-color: @accent;
  color: @textStrong; }
QToolButton[look="chip"]:focus { border: 2px solid @accent; padding: 0 11px; min-height: 24px; }
QToolButton[look="chip"]:disabled { color: @textQuiet; border-color: @divider; }
QToolButton[look="segment"] { background: transparent; border: 2px solid transparent;
  color: @textNormal; padding: 0 10px; min-height: 24px; }
QToolButton[look="segment"]:hover { color: @textStrong; }
QToolButton[look="segment"]:checked { background: @raised; color: @textStrong; }
QToolButton[look="segment"]:focus { border: 2px solid @accent; }
QToolButton[look="nav"] { background: transparent; border: 2px solid transparent;
  border-radius: 6px; color: @textNormal; font-size: #14#; font-weight: 500; padding: 0 10px;
  min-height: 36px; text-align: left; }
QToolButton[look="nav"]:hover { background: @hover; color: @textStrong; }
QToolButton[look="nav"]:checked { background: @accentTint; color: @textStrong; }
QToolButton[look="nav"]:disabled { color: @textQuiet; background: transparent; }
QToolButton[look="nav"]:focus { border: 2px solid @accent; }

QLineEdit, QComboBox, QPlainTextEdit { background: @ground; color: @textStrong;
  border: 1px solid @outline; border-radius: 4px; font-size: #13#;
  selection-background-color: @selection; selection-color: @textStrong; }
QLineEdit, QComboBox { padding: 0 8px; min-height: 28px; }
QLineEdit:focus, QComboBox:focus, QPlainTextEdit:focus { border: 2px solid @accent; }
QLineEdit:focus, QComboBox:focus { padding: 0 7px; min-height: 26px; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: url(:/icons/chevron-down-@mode.svg); width: 14px; height: 14px; }
QComboBox QAbstractItemView { background: @card; color: @textStrong; border: 1px solid @divider;
  selection-background-color: @accentTint; selection-color: @textStrong; padding: 4px; }
QFrame[look="composer"] { background: @card; border: 1px solid @outline; border-radius: 8px; }
QFrame[look="composer"] QPlainTextEdit { background: transparent; border: none; font-size: #15#; }
QPlainTextEdit[look="result"] { font-family: "JetBrains Mono"; }

QTextBrowser { background: transparent; border: none; color: @textStrong; font-size: #15#;
  selection-background-color: @selection; selection-color: @textStrong; }
QTextBrowser:focus { border: none; }

QListView, QTableView { background: @card; alternate-background-color: @card; border: none;
  color: @textNormal; font-size: #13#; selection-background-color: @accentTint;
  selection-color: @textStrong; gridline-color: @divider; }
QListView:focus, QTableView:focus { border: 2px solid @accent; border-radius: 4px; }
QHeaderView { background: @card; }
QHeaderView::section { background: @card; color: @textQuiet; border: none;
  border-bottom: 1px solid @divider; padding: 4px 8px; font-size: #12#; font-weight: 500; }
QTableView QTableCornerButton::section { background: @card; border: none; }
QTableView::item { padding: 0 8px; border-bottom: 1px solid @divider; }

QCheckBox { color: @textNormal; font-size: #13#; spacing: 8px; padding: 2px;
  border: 2px solid transparent; border-radius: 4px; }
QCheckBox:focus { border-color: @accent; }
QCheckBox::indicator { width: 14px; height: 14px; border: 1px solid @outline; border-radius: 3px;
  background: @ground; }
QCheckBox::indicator:checked { background: @accent; border-color: @accent;
  image: url(:/icons/check-@mode.svg); }

QSplitter::handle { background: transparent; }
QSplitter::handle:vertical { height: 12px; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: @divider; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: @outline; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QMenu { background: @card; color: @textStrong; border: 1px solid @divider; padding: 4px; }
QMenu::item { padding: 6px 16px; border-radius: 4px; }
QMenu::item:selected { background: @accentTint; }
)";

}  // namespace

QString styleSheetOf(const Palette& palette, double textScale) {
  const bool dark = palette.ground.lightness() < 128;
  // Longer names first: @accent must not eat the start of @accentTint.
  const std::pair<const char*, QString> colours[] = {
      {"@accentHover", blended(palette.textStrong, palette.accent, 0.15).name()},
      {"@accentTint", blended(palette.accent, palette.card, dark ? 0.20 : 0.12).name()},
      {"@selection", blended(palette.accent, palette.card, dark ? 0.38 : 0.25).name()},
      {"@badTint", blended(palette.bad, palette.card, 0.10).name()},
      {"@hover", blended(palette.textStrong, palette.card, 0.10).name()},
      {"@pressed", blended(palette.textStrong, palette.card, 0.16).name()},
      {"@onAccent", palette.onAccent.name()},
      {"@accent", palette.accent.name()},
      {"@textStrong", palette.textStrong.name()},
      {"@textNormal", palette.textNormal.name()},
      {"@textQuiet", palette.textQuiet.name()},
      {"@outline", palette.outline.name()},
      {"@divider", palette.divider.name()},
      {"@ground", palette.ground.name()},
      {"@raised", palette.raised.name()},
      {"@card", palette.card.name()},
      {"@bad", palette.bad.name()},
      {"@mode", dark ? QStringLiteral("dark") : QStringLiteral("light")},
  };
  QString sheet = QString::fromLatin1(kTemplate);
  for (const auto& [name, value] : colours) {
    sheet.replace(QLatin1String(name), value);
  }
  for (int size = 12; size <= 40; ++size) {
    sheet.replace(QStringLiteral("#%1#").arg(size),
                  QStringLiteral("%1px").arg(std::lround(size * textScale)));
  }
  return sheet;
}

}  // namespace tandem::ui
