// SPDX-License-Identifier: GPL-3.0-or-later
// How much of what was drafted came true, by its place in the draft.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>

namespace tandem::api {

/// The longest draft: three tokens.
inline constexpr std::size_t kDraftPositions = 3;

/// Place 0 is the first token of a draft. A token is accepted only when those before it were, so
/// neither list rises. All zero while nothing was drafted.
struct DraftStats {
  std::array<std::uint64_t, kDraftPositions> proposed{};
  std::array<std::uint64_t, kDraftPositions> accepted{};

  DraftStats& operator+=(const DraftStats& more) {
    for (std::size_t i = 0; i < kDraftPositions; ++i) {
      proposed[i] += more.proposed[i];
      accepted[i] += more.accepted[i];
    }
    return *this;
  }

  /// Drafts, each of one to kDraftPositions tokens.
  [[nodiscard]] std::uint64_t drafts() const { return proposed[0]; }
  [[nodiscard]] std::uint64_t proposedTokens() const {
    return std::accumulate(proposed.begin(), proposed.end(), std::uint64_t{0});
  }
  [[nodiscard]] std::uint64_t acceptedTokens() const {
    return std::accumulate(accepted.begin(), accepted.end(), std::uint64_t{0});
  }
  /// Of the drafted tokens at this place, 0..1. Nothing while there was none.
  [[nodiscard]] std::optional<double> acceptance(std::size_t position) const {
    return proposed.at(position) == 0 ? std::nullopt
                                      : std::optional(static_cast<double>(accepted.at(position)) /
                                                      static_cast<double>(proposed.at(position)));
  }
  /// Tokens that a step with a draft gave on average, the model's own token among them: 1 to
  /// 1 + kDraftPositions.
  [[nodiscard]] std::optional<double> meanLength() const {
    return drafts() == 0 ? std::nullopt
                         : std::optional(1 + static_cast<double>(acceptedTokens()) /
                                                 static_cast<double>(drafts()));
  }

  friend bool operator==(const DraftStats&, const DraftStats&) = default;
};

}  // namespace tandem::api
