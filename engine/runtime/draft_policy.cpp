// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/draft_policy.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

namespace tandem::runtime {

namespace {

// A draft counts half after about 20 later ones: texts change from prose to code within a page.
constexpr double kOwnDecay = 0.966;
// And after about 350 for what is believed of a new text.
constexpr double kSharedDecay = 0.998;
// What is believed before weighs as so many drafts of the text itself.
constexpr double kSharedWeight = 4;
constexpr double kPriorWeight = 16;
// Published for the MTP module of DeepSeek-V4-Flash: 84, 50 and 16 of 100.
constexpr std::array<double, kMostDrafts> kPriorAcceptance{0.84, 0.5, 0.16};

// A probe may cost this part of the time between two of them.
constexpr double kProbeShare = 0.02;
constexpr int kSoonestProbe = 16;
constexpr int kLatestProbe = 256;

// Drafting must promise this much more speed: the estimates are noisy, and no drafts are certain.
constexpr double kLeastGain = 1.02;

}  // namespace

DraftPolicy::DraftPolicy(int maxDrafts, bool always)
    : maxDrafts_(std::clamp(maxDrafts, 0, kMostDrafts)),
      always_(always) {}

double DraftPolicy::acceptance(const DraftHistory& history, int place) const {
  const auto i = static_cast<std::size_t>(place);
  const double believed = (shared_.accepted[i] + kPriorWeight * kPriorAcceptance[i]) /
                          (shared_.tried[i] + kPriorWeight);
  return (history.accepted[i] + kSharedWeight * believed) / (history.tried[i] + kSharedWeight);
}

void DraftPolicy::observe(DraftHistory& history, int drafts, int accepted) {
  assert(accepted <= drafts);
  const int seen = std::min(accepted + 1, drafts);  // behind the first refusal nothing is known
  for (int place = 0; place < seen; ++place) {
    const auto i = static_cast<std::size_t>(place);
    const double success = place < accepted ? 1 : 0;
    history.tried[i] = kOwnDecay * history.tried[i] + 1;
    history.accepted[i] = kOwnDecay * history.accepted[i] + success;
    shared_.tried[i] = kSharedDecay * shared_.tried[i] + 1;
    shared_.accepted[i] = kSharedDecay * shared_.accepted[i] + success;
  }
}

void DraftPolicy::choose(std::span<DraftCandidate> candidates,
                         const StepShape& shape,
                         const StepCostModel& costs) {
  gains_.clear();
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    candidates[c].drafts = 0;
    candidates[c].most = std::clamp(candidates[c].most, 0, maxDrafts_);
    if (always_) {
      candidates[c].drafts = candidates[c].most;
      continue;
    }
    double all = 1;
    for (int place = 0; place < candidates[c].most; ++place) {
      all *= acceptance(*candidates[c].history, place);
      gains_.push_back({all, place, static_cast<int>(c)});
    }
  }
  if (gains_.empty()) {
    return;
  }
  // The likeliest drafts first; a later place of one sequence is never likelier than an earlier.
  std::sort(gains_.begin(), gains_.end(), [](const Gain& a, const Gain& b) {
    if (a.tokens != b.tokens) {
      return a.tokens > b.tokens;
    }
    return a.place != b.place ? a.place < b.place : a.candidate < b.candidate;
  });
  StepShape drafted = shape;
  double tokens = static_cast<double>(candidates.size());
  const double plain = costs.predictMilliseconds(shape);
  double bestRate = kLeastGain * tokens / plain;
  std::size_t best = 0;
  const auto add = [candidates](StepShape& to, const Gain& gain) {
    ++to.draftRows;
    to.draftDepth = std::max(to.draftDepth, gain.place + 1);
    to.contextTokens += candidates[static_cast<std::size_t>(gain.candidate)].contextTokens;
  };
  for (std::size_t taken = 0; taken < gains_.size(); ++taken) {
    tokens += gains_[taken].tokens;
    add(drafted, gains_[taken]);
    // The first draft pays for the drafter, so the rate can fall before it rises: look at all.
    const double rate = tokens / costs.predictMilliseconds(drafted);
    if (rate > bestRate) {
      bestRate = rate;
      best = taken + 1;
    }
  }
  StepShape chosen = shape;
  for (std::size_t taken = 0; taken < best; ++taken) {
    ++candidates[static_cast<std::size_t>(gains_[taken].candidate)].drafts;
    add(chosen, gains_[taken]);
  }

  // One draft more than wanted, now and then: otherwise nobody notices that the text drafts well
  // again, or that drafting has become cheap.
  const double time = costs.predictMilliseconds(chosen);
  StepShape probed = chosen;
  ++probed.draftRows;
  ++probed.draftDepth;
  const double extra = (costs.predictMilliseconds(probed) - time) / time;
  const double pause = std::clamp(extra / kProbeShare,
                                  static_cast<double>(kSoonestProbe),
                                  static_cast<double>(kLatestProbe));
  for (DraftCandidate& candidate : candidates) {
    if (candidate.drafts == candidate.most) {
      candidate.history->sinceProbe = 0;
    } else if (static_cast<double>(++candidate.history->sinceProbe) >= pause) {
      candidate.history->sinceProbe = 0;
      ++candidate.drafts;
    }
  }
}

}  // namespace tandem::runtime
