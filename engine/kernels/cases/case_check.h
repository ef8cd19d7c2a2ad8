// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a case on a back end and says how far its worst element is from the answer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/result.h"
#include "engine/kernels/cases/operator_case.h"

namespace tandem::kernels {

/// A back end as the cases see it. Empty functions mean: every operator, and never a failure.
struct CaseBackend {
  Operators* operators = nullptr;
  std::function<bool(OperatorId)> hasKernel;
  std::function<Result<void>()> failure;  // what went wrong since it was made
};

enum class CaseState {
  Passed,
  Failed,
  NoKernel,  // the back end has no such operator yet: nothing was run
  NoAnswer,  // the reference itself, and nothing independent to hold it against: nothing was run
};

/// "passed", "failed", "no kernel yet", "is the answer itself"
[[nodiscard]] const char* caseStateName(CaseState state);

/// The element with the largest ratio of difference to what is allowed.
struct WorstElement {
  std::int64_t row = 0;
  std::int64_t column = 0;
  float got = 0;
  float expected = 0;
  float allowed = 0;  // largest difference
};

struct CaseReport {
  CaseState state = CaseState::NoKernel;
  WorstElement worst;
  std::int64_t outside = 0;   // elements further off than allowed
  std::int64_t elements = 0;  // compared
  /// The first row whose bits depend on the rows beside it; -1 when none does.
  std::int64_t dependentRow = -1;
  std::string failure;  // the back end's own words when it could not run

  /// "row 3, column 17: got 0.8125, expected 0.8047, off by 7.8e-03, allowed 3.9e-03; 12 of 96
  /// outside"
  [[nodiscard]] std::string describe() const;
};

/// Compares with the case's answer, else with the reference. Then runs every row alone: its bits
/// must be those it had among the others.
[[nodiscard]] CaseReport checkCase(const OperatorCase& operatorCase, const CaseBackend& backend);

}  // namespace tandem::kernels
