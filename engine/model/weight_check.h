// SPDX-License-Identifier: GPL-3.0-or-later
// Does a checkpoint hold exactly what the plan wants?
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/checkpoint.h"
#include "engine/model/weight_map.h"

namespace tandem::model {

/// Differences in words, each naming its tensor.
struct WeightCheck {
  std::vector<std::string> mismatches;  // any of these stops the load
  std::vector<std::string> notices;     // these do not, but a person should know
};

/// Compares name, dtype and shape of every tensor, in both directions.
[[nodiscard]] WeightCheck checkWeights(const Checkpoint& checkpoint,
                                       const std::vector<TensorPlan>& plan);

/// One error out of all mismatches: how many, and the first ten.
/// Fails    InvalidArgument when there are any.
[[nodiscard]] Result<void> requireMatch(const WeightCheck& check, const std::string& folder);

}  // namespace tandem::model
