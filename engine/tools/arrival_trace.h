// SPDX-License-Identifier: GPL-3.0-or-later
// Who asks what when: conversations of several turns, read from a file or made up from a seed.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/runtime/draft_policy.h"

namespace tandem::tools {

/// One request. A session's later turns send all that was said before in it, and then something
/// new.
struct TraceTurn {
  double at = 0;   // seconds; not before
  double gap = 0;  // seconds after the end of the session's last answer
  int session = 0;
  std::int64_t newTokens = 0;     // of the prompt, behind what was said before
  std::int64_t sharedTokens = 0;  // of a first turn's: a system prompt that all sessions share
  std::int64_t answerTokens = 0;
  /// The chance that a draft at each place is accepted if those before it were.
  std::array<double, runtime::kMostDrafts> acceptance{};
};

/// JSON lines: {"at": 0, "gap": 2.5, "session": 1, "new": 500, "shared": 0, "answer": 200,
/// "accept": [0.84, 0.5, 0.16]}; gap, shared and accept may be left out.
///
/// Fails with NotFound, with DataCorrupt and the line's number.
Result<std::vector<TraceTurn>> readTrace(const std::filesystem::path& file);

/// The names that makeTrace() knows, for a command's help.
inline constexpr std::array<const char*, 5> kTraceMixes{"chat", "agents", "long", "burst", "mixed"};

/// chat    six people who write a little and read the answer
/// agents  four coding agents: 8K to 100K tokens at first, then tool results, quickly
/// long    three of the people, and after 20 s a prompt of 500K tokens; another of 128K
/// burst   two people, and 24 requests within a second that share a system prompt
/// mixed   people, agents, one prompt of 256K and a burst
///
/// Fails with InvalidArgument for another name.
Result<std::vector<TraceTurn>> makeTrace(const std::string& mix, std::uint64_t seed);

}  // namespace tandem::tools
