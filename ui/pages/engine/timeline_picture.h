// SPDX-License-Identifier: GPL-3.0-or-later
// What the start-up timeline draws: lanes of bars over seconds since Start.
#pragma once

#include <vector>

#include <QColor>
#include <QString>

#include "engine/api/engine_state.h"
#include "ui/theme/palette.h"

namespace tandem::ui {

enum class BarState { Done, Running, Late, Failed, Skipped, Cancelled };

struct TimelineBar {
  api::Phase phase = api::Phase::Connect;
  QString name;   // "Load weights"
  QString label;  // the name and how far it got, drawn only when it fits
  BarState state = BarState::Done;
  double begin = 0;  // seconds since Start
  double end = 0;    // of a running bar: now
};

/// The same phase in earlier starts.
struct TimelineGhost {
  double begin = 0;
  double end = 0;
};

struct TimelineLane {
  QString name;  // "Head"
  QColor Palette::*color = &Palette::total;
  std::vector<TimelineBar> bars;
  std::vector<TimelineGhost> ghosts;
};

struct TimelinePicture {
  std::vector<TimelineLane> lanes;
  std::vector<double> barriers;  // moments that every lane had to reach
  double now = 0;                // the right edge of what is known
  double span = 10;              // seconds from left to right
  bool moving = false;           // a start is running
  QString summary;               // the picture in a sentence, for screen readers
};

}  // namespace tandem::ui
