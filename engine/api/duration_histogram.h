// SPDX-License-Identifier: GPL-3.0-or-later
// How many durations fell into which of a few fixed intervals: what Prometheus calls a histogram.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace tandem::api {

/// Counted since process start. counts[i] is of those at most bounds[i] and above the bound before;
/// the last count is of those above every bound, so there is one count more than bounds. Both lists
/// are empty where nobody measures.
struct DurationHistogram {
  std::vector<double> bounds;  // seconds, rising
  std::vector<std::uint64_t> counts;
  double sumSeconds = 0;

  static DurationHistogram withBounds(std::span<const double> bounds) {
    return {{bounds.begin(), bounds.end()}, std::vector<std::uint64_t>(bounds.size() + 1, 0), 0};
  }

  /// Needs bounds.
  void add(double seconds) {
    const auto bound = std::lower_bound(bounds.begin(), bounds.end(), seconds);
    ++counts[static_cast<std::size_t>(bound - bounds.begin())];
    sumSeconds += seconds;
  }

  [[nodiscard]] std::uint64_t count() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  }
};

}  // namespace tandem::api
