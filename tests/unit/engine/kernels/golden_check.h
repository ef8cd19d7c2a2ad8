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

/// Whether what a case allows is small as a whole beside its answer: 1/128, too narrow for a
/// missing term or a wrong index; 1/32 where the golden itself rounds to BF16 on the way. "" when
/// it is.
[[nodiscard]] QString checkBoundIsNarrow(const kernels::OperatorCase& golden);

}  // namespace tandem::tests
