// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/event_history.h"

#include <algorithm>
#include <utility>

namespace tandem::control {

namespace {

const api::PhaseEvent* progressOf(const EngineEvent& event) {
  const auto* phase = std::get_if<api::PhaseEvent>(&event);
  return phase != nullptr && phase->kind == api::PhaseEventKind::Progress ? phase : nullptr;
}

}  // namespace

void EventHistory::add(EngineEvent event) {
  if (const api::PhaseEvent* progress = progressOf(event)) {
    const auto outdated = [&](const NumberedEvent& kept) {
      const api::PhaseEvent* earlier = progressOf(kept.event);
      return earlier != nullptr && earlier->rank == progress->rank &&
             earlier->phase == progress->phase;
    };
    events_.erase(std::remove_if(events_.begin(), events_.end(), outdated), events_.end());
  }
  events_.push_back(NumberedEvent{++lastNumber_, std::move(event)});
  if (events_.size() > kKept) {
    events_.pop_front();
  }
}

std::vector<NumberedEvent> EventHistory::after(const HistoryPosition& position,
                                               bool phases,
                                               std::size_t limit) const {
  std::vector<NumberedEvent> found;
  for (const NumberedEvent& event : events_) {
    const bool isPhase = std::holds_alternative<api::PhaseEvent>(event.event);
    const bool isNew =
        isPhase ? phases && event.number > position.phase : event.number > position.state;
    if (isNew && found.size() < limit) {
      found.push_back(event);
    }
  }
  return found;
}

}  // namespace tandem::control
