// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/api/memory_guard.h"

namespace tandem::api {

std::string_view memoryGuardStateName(MemoryGuardState state) {
  switch (state) {
    case MemoryGuardState::Normal:
      return "normal";
    case MemoryGuardState::Holding:
      return "holding";
    case MemoryGuardState::Shrinking:
      return "shrinking";
    case MemoryGuardState::Ending:
      return "ending";
  }
  return "normal";
}

std::optional<MemoryGuardState> memoryGuardStateFromName(std::string_view name) {
  for (const MemoryGuardState state : kMemoryGuardStates) {
    if (memoryGuardStateName(state) == name) {
      return state;
    }
  }
  return std::nullopt;
}

}  // namespace tandem::api
