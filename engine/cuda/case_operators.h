// SPDX-License-Identifier: GPL-3.0-or-later
// The CUDA kernels behind the host's operator interface, so that the cases can run them.
#pragma once

#include "engine/base/result.h"
#include "engine/kernels/operator_id.h"
#include "engine/kernels/operators.h"

namespace tandem::cuda {

/// Every call copies its arguments to the device, launches, waits and copies the result back: for
/// checking, not for a model. An operator without a kernel must not be called.
class CaseOperators : public kernels::Operators {
 public:
  [[nodiscard]] virtual bool hasKernel(kernels::OperatorId op) const = 0;

  /// The first failure since it was made. After one, calls do nothing.
  [[nodiscard]] virtual Result<void> failure() const = 0;
};

}  // namespace tandem::cuda
