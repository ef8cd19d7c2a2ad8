// SPDX-License-Identifier: GPL-3.0-or-later
// The rounding of a quantised linear's input on the device.
#pragma once

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/kernels/matrix.h"

namespace tandem::kernels::cuda {

/// Rounds each group of 128 channels to E4M3 times a power of two, as roundGroupsToE4m3 does, to
/// the bit: the numerics `act`.
///
/// x, out [rows, cols] in device memory; they may be the same, with the same stride. Queued on
/// `stream`.
///
/// Fails    InvalidArgument when cols is not a multiple of 128;
///          Internal when the launch is refused, in CUDA's words.
[[nodiscard]] Result<void> roundActivations(Matrix<float> out,
                                            Matrix<const float> x,
                                            cudaStream_t stream);

}  // namespace tandem::kernels::cuda
