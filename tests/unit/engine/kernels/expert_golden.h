// SPDX-License-Identifier: GPL-3.0-or-later
// Golden cases of router and experts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/engine/kernels/unit_golden_cases.h"

namespace tandem::tests {

/// Picks in ascending order and their weights beside each other, [rows, 2 * K].
[[nodiscard]] Table sortedPicks(const std::vector<std::int32_t>& picks, const Table& weights);

struct RouterInputs {
  Table x;
  StoredWeight gate;
  std::vector<float> bias;              // empty on hash layers
  std::vector<std::int32_t> hashTable;  // [tokens, picked], empty on learned layers
  std::vector<TokenId> tokens;          // one a row
  float scale = 1;
  std::int64_t picked = 0;
};

/// The choice must be the same; weights within what float may make of the logits.
[[nodiscard]] OperatorCase routerGolden(std::string name,
                                        const std::shared_ptr<const RouterInputs>& inputs,
                                        const Table& answer);

[[nodiscard]] OperatorCase unitRouterCase(UnitGoldens& goldens);

/// Router, routed and shared experts in the numerics `act`.
[[nodiscard]] OperatorCase unitMoeCase(UnitGoldens& goldens);

}  // namespace tandem::tests
