// SPDX-License-Identifier: GPL-3.0-or-later
// The states of an engine process, the phases of a start, and which moves are allowed.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace tandem::api {

/// What an engine process is doing. Loading begins at process start, so there is no idle state:
/// a changed configuration is a new process.
enum class EngineState { Starting, Ready, Draining, Stopped, Failed };

/// The one vocabulary of start-up steps, in order: engine phases, launch steps, timeline, history.
/// Reach..Spawn belong to whoever starts the engine, Connect..Api to the engine itself.
enum class Phase {
  Reach,
  Preflight,
  Link,
  Deploy,
  Spawn,
  Connect,
  Validate,
  Weights,
  Mtp,
  Kv,
  Graphs,
  SelfTest,
  Api,
};

inline constexpr std::array kPhases{Phase::Reach,
                                    Phase::Preflight,
                                    Phase::Link,
                                    Phase::Deploy,
                                    Phase::Spawn,
                                    Phase::Connect,
                                    Phase::Validate,
                                    Phase::Weights,
                                    Phase::Mtp,
                                    Phase::Kv,
                                    Phase::Graphs,
                                    Phase::SelfTest,
                                    Phase::Api};

/// "starting" "ready" "draining" "stopped" "failed", as in JSON; and back.
[[nodiscard]] std::string_view engineStateName(EngineState state);
[[nodiscard]] std::optional<EngineState> engineStateFromName(std::string_view name);

/// "reach" … "selftest" "api", as in JSON; and back.
[[nodiscard]] std::string_view phaseName(Phase phase);
[[nodiscard]] std::optional<Phase> phaseFromName(std::string_view name);

/// Starting → Ready → Draining → Stopped; Starting → Stopped (cancelled); and from each of the
/// first three to Failed. Stopped and Failed are final.
[[nodiscard]] bool mayMove(EngineState from, EngineState to);

}  // namespace tandem::api
