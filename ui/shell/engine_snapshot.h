// SPDX-License-Identifier: GPL-3.0-or-later
// What the panel knows about the engine at this moment.
#pragma once

#include <optional>

#include <QString>

#include "engine/api/engine_state.h"
#include "engine/api/engine_stats.h"

namespace tandem::ui {

/// Whether there is an engine to show at all.
enum class EngineLink {
  None,      // no engine runs
  Spawning,  // asked to start, its control socket does not answer yet
  Attached,  // connected: `state` is the engine's own word
  Lost,      // it ran and went away without saying so
};

struct EngineSnapshot {
  EngineLink link = EngineLink::None;
  api::EngineState state = api::EngineState::Stopped;
  QString cluster;   // "Demo cluster": what Start would start
  QString model;     // "DeepSeek-V4 demo"
  QString endpoint;  // "http://127.0.0.1:8000/v1", or "" before Ready
  QString failure;   // of a failed start or a lost engine
  QString remedy;
  std::optional<api::EngineStats> stats;

  [[nodiscard]] bool running() const {
    return link == EngineLink::Attached &&
           (state == api::EngineState::Starting || state == api::EngineState::Ready ||
            state == api::EngineState::Draining);
  }
  [[nodiscard]] bool starting() const {
    return link == EngineLink::Spawning ||
           (link == EngineLink::Attached && state == api::EngineState::Starting);
  }
  [[nodiscard]] bool ready() const {
    return link == EngineLink::Attached && state == api::EngineState::Ready;
  }
  [[nodiscard]] bool failed() const {
    return link == EngineLink::Lost || !failure.isEmpty() ||
           (link == EngineLink::Attached && state == api::EngineState::Failed);
  }
};

}  // namespace tandem::ui
