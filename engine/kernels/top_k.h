// SPDX-License-Identifier: GPL-3.0-or-later
// The k largest of a list, with one rule for ties.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace tandem::kernels {

/// Indices of the out.size() largest scores, in ascending order of index; the lower index first
/// among equals. `order` is scratch. Needs out.size() <= scores.size().
inline void selectTopK(std::span<std::int32_t> out,
                       std::span<const float> scores,
                       std::vector<std::int32_t>& order) {
  order.resize(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto largerFirst = [scores](std::int32_t a, std::int32_t b) {
    const float scoreA = scores[static_cast<std::size_t>(a)];
    const float scoreB = scores[static_cast<std::size_t>(b)];
    return scoreA != scoreB ? scoreA > scoreB : a < b;
  };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(out.size());
  if (end != order.end()) {
    std::nth_element(order.begin(), end, order.end(), largerFirst);
  }
  std::sort(order.begin(), end);
  std::copy(order.begin(), end, out.begin());
}

}  // namespace tandem::kernels
