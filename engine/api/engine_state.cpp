// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/api/engine_state.h"

namespace tandem::api {

namespace {

constexpr std::array kStates{EngineState::Starting,
                             EngineState::Ready,
                             EngineState::Draining,
                             EngineState::Stopped,
                             EngineState::Failed};

}  // namespace

std::string_view engineStateName(EngineState state) {
  switch (state) {
    case EngineState::Starting:
      return "starting";
    case EngineState::Ready:
      return "ready";
    case EngineState::Draining:
      return "draining";
    case EngineState::Stopped:
      return "stopped";
    case EngineState::Failed:
      return "failed";
  }
  return "failed";
}

std::optional<EngineState> engineStateFromName(std::string_view name) {
  for (const EngineState state : kStates) {
    if (engineStateName(state) == name) {
      return state;
    }
  }
  return std::nullopt;
}

std::string_view phaseName(Phase phase) {
  switch (phase) {
    case Phase::Reach:
      return "reach";
    case Phase::Preflight:
      return "preflight";
    case Phase::Link:
      return "link";
    case Phase::Deploy:
      return "deploy";
    case Phase::Spawn:
      return "spawn";
    case Phase::Connect:
      return "connect";
    case Phase::Validate:
      return "validate";
    case Phase::Weights:
      return "weights";
    case Phase::Mtp:
      return "mtp";
    case Phase::Kv:
      return "kv";
    case Phase::Graphs:
      return "graphs";
    case Phase::SelfTest:
      return "selftest";
    case Phase::Api:
      return "api";
  }
  return "api";
}

std::optional<Phase> phaseFromName(std::string_view name) {
  for (const Phase phase : kPhases) {
    if (phaseName(phase) == name) {
      return phase;
    }
  }
  return std::nullopt;
}

bool mayMove(EngineState from, EngineState to) {
  switch (from) {
    case EngineState::Starting:
      return to == EngineState::Ready || to == EngineState::Stopped || to == EngineState::Failed;
    case EngineState::Ready:
      return to == EngineState::Draining || to == EngineState::Failed;
    case EngineState::Draining:
      return to == EngineState::Stopped || to == EngineState::Failed;
    case EngineState::Stopped:
    case EngineState::Failed:
      return false;
  }
  return false;
}

}  // namespace tandem::api
