// SPDX-License-Identifier: GPL-3.0-or-later
// Golden cases of the hyper-connections.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/engine/kernels/golden_case.h"

namespace tandem::tests {

inline constexpr float kHyperEps = 1e-6F;

/// Owns what HyperConnectionWeights looks at.
struct HyperParameters {
  Table fn;
  std::vector<float> base;
  std::vector<float> scale;
  int iterations = 20;

  [[nodiscard]] kernels::HyperConnectionWeights weights() const {
    return {fn.view(), base, scale, iterations, kHyperEps, kHyperEps};
  }
};

/// One for every row, or one for all of them.
using HyperRows = std::shared_ptr<const std::vector<HyperParameters>>;

/// hyperPre gives x, post and comb beside each other, within what float may make of the logits.
[[nodiscard]] OperatorCase hyperPreGolden(std::string name,
                                          const std::shared_ptr<const Table>& streams,
                                          const HyperRows& parameters,
                                          const Table& x,
                                          const Table& post,
                                          const Table& comb);

/// The bounds of hyperPreGolden: how far x, post and comb may be off.
[[nodiscard]] Table hyperPreBounds(const Table& streams,
                                   const std::vector<HyperParameters>& parameters,
                                   const Table& answer,
                                   std::int64_t dim,
                                   std::int64_t m);

[[nodiscard]] OperatorCase hyperPostGolden(std::string name,
                                           const std::shared_ptr<const Table>& streams,
                                           const std::shared_ptr<const Table>& y,
                                           const std::shared_ptr<Table>& post,
                                           const std::shared_ptr<Table>& comb,
                                           Table answer);

}  // namespace tandem::tests
