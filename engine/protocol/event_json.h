// SPDX-License-Identifier: GPL-3.0-or-later
// What happens in an engine, as JSON: moves of the state, phases of the start, log records, errors.
#pragma once

#include "engine/api/event_sink.h"
#include "engine/api/phase_event.h"
#include "engine/base/log.h"
#include "engine/protocol/json_fields.h"

namespace tandem::protocol {

/// {"code", "message", "remedy"}. A code this end does not know is read as Internal, so that codes
/// may be added.
[[nodiscard]] OutJson errorJson(const Error& error);
[[nodiscard]] Error readError(const FieldReader& fields);

// These add the fields of a value to the object `json`, and read them back.

void addState(OutJson& json, const api::StateEvent& event);
[[nodiscard]] api::StateEvent readState(const FieldReader& fields);

void addPhase(OutJson& json, const api::PhaseEvent& event);
[[nodiscard]] api::PhaseEvent readPhase(const FieldReader& fields);

void addLog(OutJson& json, const LogRecord& record);
[[nodiscard]] LogRecord readLog(const FieldReader& fields);

}  // namespace tandem::protocol
