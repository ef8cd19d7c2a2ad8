// SPDX-License-Identifier: GPL-3.0-or-later
// What the engine does so that its host keeps enough memory to live.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace tandem::api {

/// Each state includes what the ones before it do.
enum class MemoryGuardState {
  Normal,
  Holding,    // no new request starts
  Shrinking,  // cached prefixes are given up
  Ending,     // the engine stops before the host does
};

inline constexpr std::array kMemoryGuardStates{MemoryGuardState::Normal,
                                               MemoryGuardState::Holding,
                                               MemoryGuardState::Shrinking,
                                               MemoryGuardState::Ending};

/// "normal", "holding", "shrinking", "ending"
[[nodiscard]] std::string_view memoryGuardStateName(MemoryGuardState state);
[[nodiscard]] std::optional<MemoryGuardState> memoryGuardStateFromName(std::string_view name);

struct MemoryGuardStatus {
  MemoryGuardState state = MemoryGuardState::Normal;
  std::string sentence;  // which node, how much is left and of what; "" while Normal

  friend bool operator==(const MemoryGuardStatus&, const MemoryGuardStatus&) = default;
};

}  // namespace tandem::api
