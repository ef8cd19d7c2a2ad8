// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cases/case_list.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tandem::kernels {

std::vector<OperatorCase> allCases() {
  std::vector<OperatorCase> all;
  for (const auto& make :
       {linearCases, normCases, hyperConnectionCases, entryCases, attentionCases, expertCases}) {
    std::vector<OperatorCase> cases = make();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  std::stable_sort(all.begin(), all.end(), [](const OperatorCase& a, const OperatorCase& b) {
    return a.op < b.op;
  });
  return all;
}

}  // namespace tandem::kernels
