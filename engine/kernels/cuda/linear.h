// SPDX-License-Identifier: GPL-3.0-or-later
// Products of a few rows with a packed weight matrix, plain and in groups.
#pragma once

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/kernels/cuda/stream_launch.h"
#include "engine/kernels/matrix.h"
#include "engine/kernels/weight_matrix.h"

namespace tandem::kernels::cuda {

/// out[r, g * O + n] = Σ_k x[r, g * I + k] * W[g * O + n, k]   for each of `groups` groups
///
/// x [rows, groups * I], W [groups * O, I], out [rows, groups * O], all in device memory; out
/// overlaps neither. Every format, any shape. Fast where W's rows, its codes and the first column
/// inside a block are multiples of 16 bytes, and x's rows of 4 floats; the rest goes byte by byte.
/// MXFP4 scales must be at most 2.
///
/// Products are exact and sums are float. The order of a sum depends on I alone, so a row's bits do
/// not depend on the rows beside it. Meant for up to 8 rows, which read W once; every 8 more read
/// it again. Queued on `stream`.
///
/// Fails    InvalidArgument when W's rows do not divide into the groups;
///          Internal when the launch is refused, in CUDA's words.
[[nodiscard]] Result<void> groupedLinear(Matrix<float> out,
                                         Matrix<const float> x,
                                         const WeightMatrix& weight,
                                         int groups,
                                         const DeviceLimits& limits,
                                         cudaStream_t stream);

/// The same with one group: out[r, n] = Σ_k x[r, k] * W[n, k].
[[nodiscard]] Result<void> linear(Matrix<float> out,
                                  Matrix<const float> x,
                                  const WeightMatrix& weight,
                                  const DeviceLimits& limits,
                                  cudaStream_t stream);

}  // namespace tandem::kernels::cuda
