// SPDX-License-Identifier: GPL-3.0-or-later
// Decides when the engine must give way so that no node runs out of memory and freezes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/api/engine_config.h"
#include "engine/api/memory_guard.h"
#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/runtime/memory_board.h"

namespace tandem::runtime {

/// A policy without a clock and without effects: figures in, a decision out. It watches what each
/// node has available (MemAvailable), not what the engine holds: whoever takes the memory, the node
/// freezes all the same, and on unified memory without any line in a log.
///
/// Three lines on each node. Below `hold` no new request is started. Below `shrink` the prefix
/// cache gives memory back too; so it does when holding alone has not helped for kHoldPatience.
/// Below `floor` the engine ends: at once below half of it, else when a later figure, at least
/// kFloorPatience after the first, is still below, which leaves the cache time to shrink. Nothing
/// is taken back before every node has had `release` for kSettle, and an end is final.
///
/// A figure that is zero is unknown: such a node alone never ends the engine. What was decided
/// before stays; where nothing was, the node is not guarded and the sentence says so. A rank that
/// says nothing for kSilence holds new requests; if it fell silent below `shrink`, kSilentEnd of it
/// end the engine, for this is how a node looks that freezes. (A rank whose connection is lost is
/// not this class's business: the peer channel ends the engine sooner.)
///
/// Thread   one at a time
class MemoryGuard {
 public:
  using State = api::MemoryGuardState;

  /// What is to be done now. The sentence has the newest figures, so it changes with each call: log
  /// it when the state changes.
  struct Decision {
    State state = State::Normal;
    std::string sentence;  // which node, what it has left, what happens; "" when all is well
    std::string remedy;    // what a person can do; "" when there is nothing to do
    // What each rank's prefix cache shall give back now, so that `release` is reached. Not repeated
    // before kShrinkInterval has passed: memory comes back with a delay.
    std::uint64_t shrinkByBytes = 0;
  };

  /// The lines of one node, in bytes available: floor < shrink < hold < release.
  struct Thresholds {
    std::uint64_t floor = 0;
    std::uint64_t shrink = 0;
    std::uint64_t hold = 0;
    std::uint64_t release = 0;

    friend bool operator==(const Thresholds&, const Thresholds&) = default;
  };

  static constexpr std::chrono::seconds kFloorPatience{2};
  static constexpr std::chrono::seconds kHoldPatience{10};
  static constexpr std::chrono::seconds kSettle{5};
  static constexpr std::chrono::seconds kShrinkInterval{3};
  static constexpr std::chrono::seconds kSilence{5};
  static constexpr std::chrono::seconds kSilentEnd{15};

  /// `config` as checkMemoryGuard() accepts it.
  explicit MemoryGuard(const api::MemoryGuardConfig& config)
      : config_(config) {}

  /// To be called about once a second, from the process's start on: nodes have frozen while weights
  /// were loaded. More often does no harm, only new figures count.
  ///
  /// ranks   as MemoryBoard::figures() gives them
  [[nodiscard]] Decision assess(std::span<const RankFigures> ranks, MonotonicTime now);

  /// What is not configured is the smaller of an amount and a share of the node's memory, so that a
  /// node of 8 GiB is not ruled by what 128 GB need: floor 4 GiB or 5 %, hold twice the floor.
  [[nodiscard]] static Thresholds thresholdsOf(const api::MemoryGuardConfig& config,
                                               std::uint64_t totalBytes);

 private:
  /// What is remembered of one node.
  struct Node {
    State level = State::Normal;                // by its figures alone
    std::optional<MonotonicTime> seen;          // the newest figure that counted
    std::optional<MonotonicTime> belowFloor;    // since then, without a break
    std::optional<MonotonicTime> notReleased;   // since then level is not Normal
    std::optional<MonotonicTime> releasedFrom;  // `release` was reached then, and held
    std::uint64_t total = 0;
    std::uint64_t available = 0;  // the last known; 0: never known
    bool readable = false;        // whether the newest figure was known
    std::uint64_t rateAvailable = 0;
    std::optional<MonotonicTime> rateFrom;  // when rateAvailable was measured
    double fallPerSecond = 0;
  };

  /// A node's share in the decision.
  struct Verdict {
    State state = State::Normal;
    std::string sentence;
    std::string remedy;
    std::uint64_t missing = 0;  // to `release`
  };

  void take(Node& node, const RankFigures& figures) const;
  [[nodiscard]] Verdict judge(const Node& node,
                              const RankFigures& figures,
                              MonotonicTime now) const;

  const api::MemoryGuardConfig config_;
  std::vector<Node> nodes_;
  std::optional<MonotonicTime> lastAssessed_;
  MonotonicTime watchingSince_{};  // silence is counted from here at the earliest
  std::optional<MonotonicTime> lastShrink_;
  std::optional<Decision> end_;
};

/// Fails    InvalidArgument when what is configured contradicts itself
Result<void> checkMemoryGuard(const api::MemoryGuardConfig& config);

}  // namespace tandem::runtime
