// SPDX-License-Identifier: GPL-3.0-or-later
// The root-mean-square norm on the device.
#pragma once

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/kernels/matrix.h"

namespace tandem::kernels::cuda {

/// out[r, c] = x[r, c] * weight[c] / sqrt(mean_c(x[r, :]^2) + eps)
///
/// x, out [rows, cols] in device memory, any number of rows, cols >= 1; weight [cols], or null for
/// 1. out and x may be the same memory, with the same stride. Queued on `stream`: the memory must
/// live until it is done.
///
/// A row's sum has an order that only cols decides, so its bits do not depend on the rows beside
/// it.
///
/// Fails    Internal when the launch is refused, in CUDA's words.
[[nodiscard]] Result<void> rmsNorm(Matrix<float> out,
                                   Matrix<const float> x,
                                   const float* weight,
                                   float eps,
                                   cudaStream_t stream);

}  // namespace tandem::kernels::cuda
