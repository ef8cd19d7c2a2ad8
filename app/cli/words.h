// SPDX-License-Identifier: GPL-3.0-or-later
// The engine's values as lines of text.
#pragma once

#include <optional>
#include <string>

#include "engine/api/engine_client.h"
#include "engine/api/phase_event.h"
#include "engine/base/log.h"
#include "engine/protocol/control_message.h"

namespace tandem::cli {

/// "850 ms", "4.21 s", "2 min 08 s", "3 h 05 min"
[[nodiscard]] std::string durationText(double seconds);

/// "rank 1  weights   ends    550 ms  11.2 MiB  layer 8 of 8"
/// seconds       the phase took; for one that has ended
/// usualSeconds  it takes as a rule
[[nodiscard]] std::string phaseText(const api::PhaseEvent& event,
                                    std::optional<double> seconds,
                                    std::optional<double> usualSeconds);

/// "demo-model, 2 ranks, cpu back end, cache numerics, 16384 tokens of context"
[[nodiscard]] std::string infoText(const api::EngineInfo& info);

/// Several lines.
[[nodiscard]] std::string statusText(std::int64_t pid, const protocol::Status& status);

/// As on the engine's own stderr: "13:37:05.120 rank 0 warning weights: text"
[[nodiscard]] std::string logText(const LogRecord& record);

/// A command to paste.
[[nodiscard]] std::string curlText(const std::string& endpoint);

}  // namespace tandem::cli
