// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/history/usual_start.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

namespace tandem::app {

namespace {

constexpr double kMedian = 0.5;
constexpr double kLate = 0.9;

struct Samples {
  std::vector<double> begins;
  std::vector<double> seconds;
};

}  // namespace

std::optional<UsualPhase> UsualStart::find(api::Phase phase, int rank) const {
  const auto found = std::find_if(phases.begin(), phases.end(), [&](const UsualPhase& usual) {
    return usual.phase == phase && usual.rank == rank;
  });
  return found == phases.end() ? std::nullopt : std::optional(*found);
}

double quantile(std::vector<double> values, double share) {
  assert(!values.empty() && share >= 0 && share <= 1);
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return std::lerp(values[below], values[above], place - std::floor(place));
}

UsualStart usualStartOf(const std::vector<StartRun>& runs) {
  UsualStart usual;
  usual.count = static_cast<int>(runs.size());
  if (runs.empty()) {
    return usual;
  }
  std::vector<double> totals;
  std::map<std::pair<api::Phase, int>, Samples> samples;
  for (const StartRun& run : runs) {
    totals.push_back(run.seconds);
    for (const PhaseSpan& span : run.phases) {
      Samples& of = samples[{span.phase, span.rank}];
      of.begins.push_back(span.begin);
      of.seconds.push_back(span.seconds);
    }
  }
  usual.seconds = quantile(totals, kMedian);
  for (const auto& [key, of] : samples) {
    usual.phases.push_back({key.first,
                            key.second,
                            quantile(of.begins, kMedian),
                            quantile(of.seconds, kMedian),
                            quantile(of.seconds, kLate),
                            static_cast<int>(of.seconds.size())});
  }
  std::stable_sort(usual.phases.begin(),
                   usual.phases.end(),
                   [](const UsualPhase& a, const UsualPhase& b) {
                     return std::tie(a.begin, a.rank) < std::tie(b.begin, b.rank);
                   });
  return usual;
}

}  // namespace tandem::app
