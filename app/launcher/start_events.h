// SPDX-License-Identifier: GPL-3.0-or-later
// The phase events of one start: our own Spawn, then what the engine tells.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/api/phase_event.h"

namespace tandem::app {

/// An engine tells its phases from the first one anew on each connection; this keeps each once.
class StartEvents {
 public:
  /// Empties it for an engine that somebody else started.
  void clear();

  /// Empties it and begins with Spawn.
  void beginSpawn();
  /// True if Spawn ran.
  bool endSpawn(api::PhaseEventKind kind, const std::string& detail);

  /// The next engineEvent() is the first of a telling.
  void expectRetelling() { retelling_ = true; }

  /// True when earlier ones were dropped for it.
  bool engineEvent(const api::PhaseEvent& event);

  [[nodiscard]] const std::vector<api::PhaseEvent>& events() const { return events_; }

 private:
  std::vector<api::PhaseEvent> events_;
  std::size_t ours_ = 0;  // the first so many
  bool retelling_ = false;
};

}  // namespace tandem::app
