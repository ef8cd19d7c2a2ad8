// SPDX-License-Identifier: GPL-3.0-or-later
// The router's choice of experts.
#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kernels/matrix.h"

namespace tandem::kernels::cuda {

/// From the router's logits (`linear` of its gate):
///
///   s = sqrt(softplus(logit)); picks: the table's row of the token, or the K largest of s + bias
///   in ascending order of expert (the lower one among equals); weight_j = s_j / Σ_j s_j * scale
///
/// logits [rows, E]; bias [E] on learned layers, else null; hashTable [vocab, K] on hash layers,
/// else without rows; tokens [rows], read on hash layers only; picks, weights [rows, K]. All in
/// device memory. E at most 1024, K at most 32. Queued on `stream`.
///
/// Fails    InvalidArgument when E or K is larger, or there is neither bias nor table;
///          Internal when the launch is refused, in CUDA's words.
[[nodiscard]] Result<void> route(Matrix<std::int32_t> picks,
                                 Matrix<float> weights,
                                 Matrix<const float> logits,
                                 const float* bias,
                                 Matrix<const std::int32_t> hashTable,
                                 const TokenId* tokens,
                                 float scale,
                                 cudaStream_t stream);

}  // namespace tandem::kernels::cuda
