// SPDX-License-Identifier: GPL-3.0-or-later
// The events of a start, read as the record that the Engine page shows.
#pragma once

#include <cstdint>
#include <vector>

#include "app/history/usual_start.h"
#include "engine/api/phase_event.h"
#include "ui/pages/engine/start_record.h"

namespace tandem::ui {

/// Where a start stands when its events are read.
struct StartMoment {
  bool running = false;  // still on its way to Ready
  bool failed = false;   // it ended, and not by a person's wish
  std::int64_t nowNs = 0;
};

/// `events` in the order they came, on the clock of `nowNs`; the first one is the moment of Start.
/// Phases stand in the order they began. What was open or failed when the start ended is Failed, or
/// Cancelled when a person wanted that.
/// `usual` of no start compares with nothing.
[[nodiscard]] StartRecord startRecordOf(const std::vector<api::PhaseEvent>& events,
                                        const StartMoment& moment,
                                        const app::UsualStart& usual);

}  // namespace tandem::ui
