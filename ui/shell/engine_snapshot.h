// SPDX-License-Identifier: GPL-3.0-or-later
// What the panel knows about the engine at this moment.
#pragma once

#include <optional>

#include <QString>

#include "app/launcher/engine_service.h"
#include "engine/api/engine_state.h"
#include "engine/api/engine_stats.h"

namespace tandem::ui {

struct EngineSnapshot {
  app::EngineLink link = app::EngineLink::Absent;
  api::EngineState state = api::EngineState::Stopped;
  QString cluster;   // "Demo cluster": what Start would start
  QString model;     // "DeepSeek-V4 demo"
  QString endpoint;  // "http://127.0.0.1:8000/v1", or "" before Ready
  QString failure;   // of a failed or lost engine, as a sentence
  QString remedy;
  QString lastWords;  // lines that the engine printed before it failed, or ""
  std::optional<api::EngineStats> stats;

  /// What happened and what to do, or "".
  [[nodiscard]] QString failureText() const {
    return remedy.isEmpty() ? failure : failure + QLatin1Char(' ') + remedy;
  }
  [[nodiscard]] bool running() const {
    return link == app::EngineLink::Attached &&
           (state == api::EngineState::Starting || state == api::EngineState::Ready ||
            state == api::EngineState::Draining);
  }
  /// Its process runs, but nothing is heard of it: `failure` says more.
  [[nodiscard]] bool silent() const {
    return link == app::EngineLink::Spawning && !failure.isEmpty();
  }
  [[nodiscard]] bool starting() const {
    return (link == app::EngineLink::Spawning && !silent()) ||
           (link == app::EngineLink::Attached && state == api::EngineState::Starting);
  }
  [[nodiscard]] bool ready() const {
    return link == app::EngineLink::Attached && state == api::EngineState::Ready;
  }
  [[nodiscard]] bool failed() const {
    return link == app::EngineLink::Lost ||
           (link == app::EngineLink::Absent && !failure.isEmpty()) ||
           (link == app::EngineLink::Attached && state == api::EngineState::Failed);
  }
};

}  // namespace tandem::ui
