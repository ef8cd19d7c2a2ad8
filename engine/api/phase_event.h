// SPDX-License-Identifier: GPL-3.0-or-later
// One event of a start-up phase: the timeline, the log and the history are made of these.
#pragma once

#include <cstdint>
#include <string>

#include "engine/api/engine_state.h"

namespace tandem::api {

enum class PhaseEventKind { Begin, Progress, End, Failed, Skipped };

/// Every phase of a rank has one Begin, then any number of Progress, then one End or Failed; or one
/// Skipped alone. Bytes are 0/0 for phases that do not count bytes.
struct PhaseEvent {
  Phase phase = Phase::Connect;
  int rank = 0;
  PhaseEventKind kind = PhaseEventKind::Begin;
  std::int64_t monotonicNs = 0;  // of the host that saw it; rank 0 adds rank 1's offset on relay
  std::int64_t wallMs = 0;
  std::uint64_t bytesDone = 0;
  std::uint64_t bytesTotal = 0;
  std::string detail;  // a sentence: "layer 12 of 43", "port 8000 is taken by python3 (pid 4121)"
};

}  // namespace tandem::api
