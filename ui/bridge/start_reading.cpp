// SPDX-License-Identifier: GPL-3.0-or-later
// Folds events into phases and puts the usual values beside them.
#include "ui/bridge/start_reading.h"

#include <algorithm>

namespace tandem::ui {

namespace {

double secondsBetween(std::int64_t fromNs, std::int64_t toNs) {
  return static_cast<double>(std::max<std::int64_t>(0, toNs - fromNs)) / 1e9;
}

StartPhase* phaseIn(std::vector<StartPhase>& phases, api::Phase phase, int rank) {
  const auto found = std::find_if(phases.begin(), phases.end(), [&](const StartPhase& other) {
    return other.phase == phase && other.rank == rank;
  });
  return found == phases.end() ? nullptr : &*found;
}

PhaseState stateAfter(api::PhaseEventKind kind) {
  switch (kind) {
    case api::PhaseEventKind::Begin:
    case api::PhaseEventKind::Progress:
      return PhaseState::Running;
    case api::PhaseEventKind::End:
      return PhaseState::Done;
    case api::PhaseEventKind::Failed:
      return PhaseState::Failed;
    case api::PhaseEventKind::Skipped:
      return PhaseState::Skipped;
  }
  return PhaseState::Running;
}

void fold(const api::PhaseEvent& event, double seconds, std::vector<StartPhase>& phases) {
  StartPhase* phase = phaseIn(phases, event.phase, event.rank);
  if (phase == nullptr) {
    StartPhase begun;
    begun.phase = event.phase;
    begun.rank = event.rank;
    begun.begin = seconds;
    begun.beginWallMs = event.wallMs;
    phase = &phases.emplace_back(begun);
  }
  phase->state = stateAfter(event.kind);
  phase->end = seconds;
  if (event.bytesTotal > 0 || event.bytesDone > 0) {
    phase->bytesDone = event.bytesDone;
    phase->bytesTotal = event.bytesTotal;
  }
  // Some progress only counts bytes: the last words stay.
  if (!event.detail.empty() || phase->state != PhaseState::Running) {
    phase->detail = QString::fromStdString(event.detail);
  }
}

void compare(const app::UsualStart& usual, StartRecord& record) {
  record.usualSeconds = usual.seconds;
  record.startsKnown = usual.count;
  for (const app::UsualPhase& earlier : usual.phases) {
    StartPhase* phase = phaseIn(record.phases, earlier.phase, earlier.rank);
    if (phase == nullptr && !record.running) {
      continue;  // it will not come any more
    }
    if (phase == nullptr) {
      StartPhase expected;
      expected.phase = earlier.phase;
      expected.rank = earlier.rank;
      phase = &record.expected.emplace_back(expected);
    }
    phase->usualBegin = earlier.begin;
    phase->usualSeconds = earlier.seconds;
    phase->lateSeconds = earlier.lateSeconds;
  }
}

}  // namespace

StartRecord startRecordOf(const std::vector<api::PhaseEvent>& events,
                          const StartMoment& moment,
                          const app::UsualStart& usual) {
  StartRecord record;
  if (events.empty()) {
    return record;
  }
  // The clock of another host is only known to within a little: nothing may lie before Start.
  const std::int64_t origin =
      std::min_element(events.begin(), events.end(), [](const auto& a, const auto& b) {
        return a.monotonicNs < b.monotonicNs;
      })->monotonicNs;
  record.running = moment.running;
  for (const api::PhaseEvent& event : events) {
    const double seconds = secondsBetween(origin, event.monotonicNs);
    fold(event, seconds, record.phases);
    record.elapsed = std::max(record.elapsed, seconds);
    record.ready = record.ready || (event.phase == api::Phase::Api && event.rank == 0 &&
                                    event.kind == api::PhaseEventKind::End);
  }
  if (record.running) {
    record.elapsed = std::max(record.elapsed, secondsBetween(origin, moment.nowNs));
  }
  for (StartPhase& phase : record.phases) {
    const bool open = phase.state == PhaseState::Running;
    if (open) {
      phase.end = record.elapsed;
    }
    // An engine that is told to end reports the phase it was in as failed.
    const bool cutOff = open || (phase.state == PhaseState::Failed && !moment.failed);
    if (cutOff && !record.running) {
      phase.state = moment.failed ? PhaseState::Failed : PhaseState::Cancelled;
    }
  }
  if (usual.count > 0) {
    compare(usual, record);
  }
  return record;
}

}  // namespace tandem::ui
