// SPDX-License-Identifier: GPL-3.0-or-later
// How long a start and its phases take as a rule.
#pragma once

#include <optional>
#include <vector>

#include "app/history/start_run.h"

namespace tandem::app {

struct UsualPhase {
  api::Phase phase = api::Phase::Connect;
  int rank = 0;
  double begin = 0;        // median, seconds since Start
  double seconds = 0;      // median
  double lateSeconds = 0;  // 90th percentile: nine of ten were not slower
  int count = 0;           // starts that had this phase
};

struct UsualStart {
  int count = 0;
  double seconds = 0;              // median
  std::vector<UsualPhase> phases;  // by begin, then rank

  [[nodiscard]] std::optional<UsualPhase> find(api::Phase phase, int rank) const;
};

/// The value that `share` of all values are not above, between the two nearest where it falls
/// between: quantile({1, 2, 3, 4}, 0.5) = 2.5. Needs a value, and share in [0, 1].
[[nodiscard]] double quantile(std::vector<double> values, double share);

[[nodiscard]] UsualStart usualStartOf(const std::vector<StartRun>& runs);

}  // namespace tandem::app
