// SPDX-License-Identifier: GPL-3.0-or-later
// Where an engine process reports its phases and states as they happen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/api/engine_state.h"
#include "engine/api/phase_event.h"
#include "engine/base/result.h"

namespace tandem::api {

/// A move of the whole engine from one state to the next.
struct StateEvent {
  EngineState state = EngineState::Starting;
  std::int64_t wallMs = 0;
  std::string endpoint;        // "http://127.0.0.1:8000/v1" once the API is open, else ""
  std::optional<Error> error;  // why, when state is Failed
};

/// The control server implements it; the runtime calls it. A call hands over a value and returns
/// at once: it must not wait for a reader, nor call back into the engine.
/// Thread   any, also several at once: phases of both ranks overlap.
class EventSink {
 public:
  virtual ~EventSink() = default;

  /// Events of one rank and phase come in order: begin, progress…, end or failed; or skipped alone.
  virtual void phase(const PhaseEvent& event) = 0;

  /// Only moves that mayMove() allows.
  virtual void state(const StateEvent& event) = 0;
};

}  // namespace tandem::api
