// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/launcher/start_events.h"

#include <utility>

#include "engine/base/clock.h"

namespace tandem::app {

namespace {

api::PhaseEvent spawnEvent(api::PhaseEventKind kind, std::string detail) {
  api::PhaseEvent event;
  event.phase = api::Phase::Spawn;
  event.kind = kind;
  event.monotonicNs = monotonicNanoseconds();
  event.wallMs = wallMilliseconds();
  event.detail = std::move(detail);
  return event;
}

}  // namespace

void StartEvents::clear() {
  events_.clear();
  ours_ = 0;
  retelling_ = false;
}

void StartEvents::beginSpawn() {
  clear();
  events_.push_back(spawnEvent(api::PhaseEventKind::Begin, {}));
  ours_ = 1;
}

bool StartEvents::endSpawn(api::PhaseEventKind kind, const std::string& detail) {
  if (ours_ != 1) {
    return false;
  }
  events_.insert(events_.begin() + 1, spawnEvent(kind, detail));
  ours_ = 2;
  return true;
}

bool StartEvents::engineEvent(const api::PhaseEvent& event) {
  const bool dropped = std::exchange(retelling_, false) && events_.size() > ours_;
  if (dropped) {
    events_.resize(ours_);
  }
  events_.push_back(event);
  return dropped;
}

}  // namespace tandem::app
