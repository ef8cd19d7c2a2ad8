// SPDX-License-Identifier: GPL-3.0-or-later
// Times the kernels of a decode step at the shapes of V4-Flash on two ranks.
#pragma once

#include "engine/base/result.h"
#include "engine/cuda/kernel_timings.h"

namespace tandem::cuda {

/// See CudaExports::benchKernels.
[[nodiscard]] Result<KernelTimings> benchKernels(const KernelBenchOptions& options);

}  // namespace tandem::cuda
