// SPDX-License-Identifier: GPL-3.0-or-later
// One start that succeeded, in numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/api/engine_state.h"
#include "engine/api/phase_event.h"

namespace tandem::app {

/// Seconds since the first event of the start.
struct PhaseSpan {
  api::Phase phase = api::Phase::Connect;
  int rank = 0;
  double begin = 0;
  double seconds = 0;

  friend bool operator==(const PhaseSpan&, const PhaseSpan&) = default;
};

struct StartRun {
  std::int64_t wallMs = 0;  // of its first event
  double seconds = 0;       // to the end of its last phase
  std::vector<PhaseSpan> phases;

  friend bool operator==(const StartRun&, const StartRun&) = default;
};

/// The phases that ran, in order of their begin. Skipped ones are left out.
///
/// events   in any order between ranks, in order within a phase of a rank
/// Nothing when a phase failed or did not end, or when Api has not ended: that was no success.
[[nodiscard]] std::optional<StartRun> startRunOf(const std::vector<api::PhaseEvent>& events);

}  // namespace tandem::app
