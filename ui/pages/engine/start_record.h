// SPDX-License-Identifier: GPL-3.0-or-later
// One start of the engine as the Engine page shows it: phases in seconds since Start.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <QString>

#include "engine/api/engine_state.h"

namespace tandem::ui {

enum class PhaseState { Running, Done, Failed, Skipped, Cancelled };

struct StartPhase {
  api::Phase phase = api::Phase::Connect;
  int rank = 0;
  PhaseState state = PhaseState::Running;
  double begin = 0;
  double end = 0;  // of a running phase: now
  std::uint64_t bytesDone = 0;
  std::uint64_t bytesTotal = 0;
  QString detail;
  std::int64_t beginWallMs = 0;

  // From earlier starts; nothing before there was one.
  std::optional<double> usualBegin;
  std::optional<double> usualSeconds;
  std::optional<double> lateSeconds;  // beyond this it is slower than nine of ten
};

struct StartRecord {
  bool running = false;
  bool ready = false;                  // it came to the end
  double elapsed = 0;                  // seconds since Start, or the whole start once it ended
  std::optional<double> usualSeconds;  // of a whole start
  int startsKnown = 0;                 // how many starts "usual" is made of
  std::vector<StartPhase> phases;
  std::vector<StartPhase> expected;  // phases of earlier starts that have not begun: ghosts only
};

}  // namespace tandem::ui
