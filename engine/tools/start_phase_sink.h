// SPDX-License-Identifier: GPL-3.0-or-later
// Tells the engine core which phase its own start is at, beside whoever else wants the events.
#pragma once

#include "engine/api/event_sink.h"
#include "engine/runtime/engine_core.h"

namespace tandem::tools {

/// Passes every event on to `next`. Both must outlive it. Any thread.
class StartPhaseSink final : public api::EventSink {
 public:
  StartPhaseSink(runtime::EngineCore& core, api::EventSink& next)
      : core_(core),
        next_(next) {}

  void phase(const api::PhaseEvent& event) override {
    if (event.rank == 0 && event.kind == api::PhaseEventKind::Begin) {
      core_.enterPhase(event.phase);
    }
    next_.phase(event);
  }

  void state(const api::StateEvent& event) override { next_.state(event); }

 private:
  runtime::EngineCore& core_;
  api::EventSink& next_;
};

}  // namespace tandem::tools
