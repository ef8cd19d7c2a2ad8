// SPDX-License-Identifier: GPL-3.0-or-later
// Every colour of the panel, by meaning, for the dark and the light theme.
#pragma once

#include <QColor>

namespace tandem::ui {

enum class ThemeMode { Dark, Light };

/// Colours by meaning. Text and status colours keep at least 4.5:1 on all three grounds, outlines
/// and chart lines 3:1; tests/gui/palette_test.cpp checks both, and that status and chart colours
/// stay apart with every kind of colour vision.
struct Palette {
  QColor ground;  // behind everything
  QColor card;    // panels
  QColor raised;  // controls, user turns, code

  QColor textStrong;
  QColor textNormal;
  QColor textQuiet;
  QColor link;

  QColor outline;  // of controls
  QColor divider;  // decorative

  QColor accent;  // primary button, focus, selection
  QColor onAccent;
  QColor danger;
  QColor onDanger;

  // Status; each is always drawn with its own shape and word.
  QColor good;
  QColor caution;
  QColor bad;
  QColor busy;
  QColor off;

  // Chart series; the meaning is the same on every page.
  QColor head;
  QColor worker;
  QColor prefill;
  QColor decode;
  QColor total;
};

[[nodiscard]] const Palette& paletteOf(ThemeMode mode);

/// `over` laid on `under` with the given opacity: tints that need no alpha when drawn.
[[nodiscard]] QColor blended(const QColor& over, const QColor& under, double opacity);

}  // namespace tandem::ui
