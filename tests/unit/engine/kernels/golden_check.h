// SPDX-License-Identifier: GPL-3.0-or-later
// Runs golden cases as data-driven tests on both back ends.
#pragma once

#include <vector>

#include <QString>

#include "engine/kernels/cases/operator_case.h"

namespace tandem::tests {

/// One row for each case and back end: columns `index` and `reference`.
void addGoldenRows(const std::vector<kernels::OperatorCase>& cases);

/// What is wrong with the case on the reference or on the CPU: "" when nothing is.
[[nodiscard]] QString checkGolden(const kernels::OperatorCase& golden, bool reference);

/// Whether what a case allows is, as a whole, at most this share of its answer: so narrow that a
/// missing term or a wrong index shows. "" when it is.
[[nodiscard]] QString checkBoundIsNarrow(const kernels::OperatorCase& golden, double share);

}  // namespace tandem::tests
