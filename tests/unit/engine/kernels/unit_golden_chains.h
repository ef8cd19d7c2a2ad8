// SPDX-License-Identifier: GPL-3.0-or-later
// The unit goldens that take several operators: compressors, indexer, attention, experts.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/engine/kernels/unit_golden_cases.h"

namespace tandem::tests {

/// `answer` is x rounded to FP4; the operator is given what its Hadamard transform makes x of.
/// Elements that the transform's rounding can move across a tie may take either side.
[[nodiscard]] OperatorCase roundIndexerGolden(std::string name,
                                              Table x,
                                              Table answer,
                                              std::int64_t group);

/// A part of unitGoldenCases.
[[nodiscard]] std::vector<OperatorCase> unitGoldenChains(UnitGoldens& goldens);

}  // namespace tandem::tests
