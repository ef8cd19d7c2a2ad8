// SPDX-License-Identifier: GPL-3.0-or-later
// Every case of every operator.
#pragma once

#include <vector>

#include "engine/kernels/cases/operator_case.h"

namespace tandem::kernels {

[[nodiscard]] std::vector<OperatorCase> linearCases();
[[nodiscard]] std::vector<OperatorCase> normCases();
[[nodiscard]] std::vector<OperatorCase> hyperConnectionCases();
[[nodiscard]] std::vector<OperatorCase> entryCases();  // rope, roundings, compression
[[nodiscard]] std::vector<OperatorCase> attentionCases();
[[nodiscard]] std::vector<OperatorCase> expertCases();  // and the router

/// All of the above, operators in the order of OperatorId.
[[nodiscard]] std::vector<OperatorCase> allCases();

}  // namespace tandem::kernels
