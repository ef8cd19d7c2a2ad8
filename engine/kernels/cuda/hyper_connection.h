// SPDX-License-Identifier: GPL-3.0-or-later
// The manifold-constrained hyper-connections on the device.
#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/kernels/matrix.h"

namespace tandem::kernels::cuda {

/// Streams M at most, and so logits (2 + M) * M at most 24.
inline constexpr int kMostStreams = 4;

/// Parameters of one sub-layer in device memory; shapes as in HyperConnectionWeights.
struct DeviceHyperConnection {
  Matrix<const float> fn;
  const float* base = nullptr;
  const float* scale = nullptr;
  int sinkhornIterations = 0;
  float eps = 0;
  float normEps = 0;
};

/// Floats of scratch that hyperPre and hyperHead need for `rows` rows.
[[nodiscard]] std::int64_t hyperScratchFloats(std::int64_t rows);

/// Collapses the M streams of each row and computes how hyperPost will mix them; the formulas are
/// at Operators::hyperPre.
///
/// x [rows, D]; post [rows, M]; comb [rows, M * M]; streams [rows, M * D]; scratch
/// [hyperScratchFloats(rows)]; all in device memory. The sum over M * D runs in parts of fixed size
/// and order, so a row's bits do not depend on the rows beside it. Two launches on `stream`.
///
/// Fails    InvalidArgument when M is larger than kMostStreams;
///          Internal when a launch is refused, in CUDA's words.
[[nodiscard]] Result<void> hyperPre(Matrix<float> x,
                                    Matrix<float> post,
                                    Matrix<float> comb,
                                    Matrix<const float> streams,
                                    const DeviceHyperConnection& weights,
                                    float* scratch,
                                    cudaStream_t stream);

/// x = Σ_i (sigmoid(m_i * scale_0 + base_i) + eps) * X_i; see Operators::hyperHead. The rest as
/// above.
[[nodiscard]] Result<void> hyperHead(Matrix<float> x,
                                     Matrix<const float> streams,
                                     const DeviceHyperConnection& weights,
                                     float* scratch,
                                     cudaStream_t stream);

/// X'_k = post_k * y + Σ_j comb[j][k] * X_j, in place; see Operators::hyperPost. Shapes as above,
/// y [rows, D].
[[nodiscard]] Result<void> hyperPost(Matrix<float> streams,
                                     Matrix<const float> y,
                                     Matrix<const float> post,
                                     Matrix<const float> comb,
                                     cudaStream_t stream);

}  // namespace tandem::kernels::cuda
