// SPDX-License-Identifier: GPL-3.0-or-later
// How many tokens a decoding sequence drafts in the next step.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/runtime/step_cost_model.h"

namespace tandem::runtime {

/// The most drafts a step verifies for one sequence, whatever is configured.
inline constexpr int kMostDrafts = 3;

/// How one text has drafted lately. Part of its sequence; only DraftPolicy changes it.
struct DraftHistory {
  /// Of the drafts at each place whose predecessors were all accepted: how many there were and how
  /// many of those were accepted, older ones counting less.
  std::array<double, kMostDrafts> tried{};
  std::array<double, kMostDrafts> accepted{};
  int sinceProbe = 0;  // steps since the last one that drafted more than it wanted to
};

/// A decoding sequence that may draft.
struct DraftCandidate {
  DraftHistory* history = nullptr;
  int most = 0;  // its own limit: what is left of the answer, or 0 for text that must not draft
  std::int64_t contextTokens = 0;  // before its rows
  int drafts = 0;                  // the answer of choose()
};

/// Drafts where that gives more tokens for the time: expected tokens by the acceptance of each
/// place, the time by the cost model, all sequences of a step together, because they share what it
/// costs. A sequence that does not draft tries it again now and then, so rarely that this costs at
/// most a fiftieth of its time.
///
/// Never changes which tokens come out. The same history gives the same choice. Engine thread.
class DraftPolicy {
 public:
  /// maxDrafts  0 to kMostDrafts; 0 never drafts
  /// always     draft as many whatever it costs: for tests, and to measure against
  explicit DraftPolicy(int maxDrafts, bool always = false);

  /// Fills in `drafts` of every candidate. `shape` is the step without any drafts, the candidates'
  /// own rows in it.
  void choose(std::span<DraftCandidate> candidates,
              const StepShape& shape,
              const StepCostModel& costs);

  /// `accepted` of `drafts` drafts were committed.
  void observe(DraftHistory& history, int drafts, int accepted);

  /// The chance that the draft at `place` (from 0) is accepted if those before it were. Between
  /// what this text did and what all texts did.
  [[nodiscard]] double acceptance(const DraftHistory& history, int place) const;

 private:
  struct Gain {
    double tokens = 0;  // expected, of this one draft
    int place = 0;
    int candidate = 0;
  };

  const int maxDrafts_;
  const bool always_;
  DraftHistory shared_;
  std::vector<Gain> gains_;  // of choose(), kept for its memory
};

}  // namespace tandem::runtime
