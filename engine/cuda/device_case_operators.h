// SPDX-License-Identifier: GPL-3.0-or-later
// The CUDA kernels as case operators.
#pragma once

#include <memory>

#include "engine/base/result.h"
#include "engine/cuda/case_operators.h"

namespace tandem::cuda {

/// See CudaExports::makeCaseOperators.
[[nodiscard]] Result<std::unique_ptr<CaseOperators>> makeCaseOperators();

}  // namespace tandem::cuda
