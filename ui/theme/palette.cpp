// SPDX-License-Identifier: GPL-3.0-or-later
// The values of the two palettes.
#include "ui/theme/palette.h"

namespace tandem::ui {

namespace {

constexpr QColor rgb(QRgb value) {
  return QColor(qRed(value), qGreen(value), qBlue(value));
}

constexpr Palette kDark{
    .ground = rgb(0x0F1319),
    .card = rgb(0x171C24),
    .raised = rgb(0x202733),
    .textStrong = rgb(0xE9EDF2),
    .textNormal = rgb(0xB4BECA),
    .textQuiet = rgb(0x8E9AA8),
    .link = rgb(0x7FB8FF),
    .outline = rgb(0x6B7888),
    .divider = rgb(0x313B48),
    .accent = rgb(0x6CB6FF),
    .onAccent = rgb(0x0F1319),
    .danger = rgb(0xF26256),
    .onDanger = rgb(0x0F1319),
    .good = rgb(0x57E8B7),
    .caution = rgb(0xF9D92F),
    .bad = rgb(0xF26256),
    .busy = rgb(0x568FFB),
    .off = rgb(0x8C9095),
    .head = rgb(0x448DF7),
    .worker = rgb(0xDB8E2C),
    .prefill = rgb(0xECBBF5),
    .decode = rgb(0x78FB9A),
    .total = rgb(0xBCBCB6),
};

constexpr Palette kLight{
    .ground = rgb(0xF6F7F9),
    .card = rgb(0xFFFFFF),
    .raised = rgb(0xEDF0F4),
    .textStrong = rgb(0x12171E),
    .textNormal = rgb(0x414C59),
    .textQuiet = rgb(0x5C6875),
    .link = rgb(0x0B57B7),
    .outline = rgb(0x7A8695),
    .divider = rgb(0xD5DBE3),
    .accent = rgb(0x1763CF),
    .onAccent = rgb(0xFFFFFF),
    .danger = rgb(0xB3261E),
    .onDanger = rgb(0xFFFFFF),
    .good = rgb(0x055E43),
    .caution = rgb(0x906409),
    .bad = rgb(0x770A02),
    .busy = rgb(0x0725A6),
    .off = rgb(0x666D78),
    .head = rgb(0x1C7FDE),
    .worker = rgb(0xB57E17),
    .prefill = rgb(0x55176F),
    .decode = rgb(0x235835),
    .total = rgb(0x090C0E),
};

}  // namespace

const Palette& paletteOf(ThemeMode mode) {
  return mode == ThemeMode::Dark ? kDark : kLight;
}

QColor blended(const QColor& over, const QColor& under, double opacity) {
  const auto mix = [opacity](int top, int bottom) {
    return qRound(top * opacity + bottom * (1.0 - opacity));
  };
  return {mix(over.red(), under.red()),
          mix(over.green(), under.green()),
          mix(over.blue(), under.blue())};
}

}  // namespace tandem::ui
