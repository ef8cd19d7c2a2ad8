// SPDX-License-Identifier: GPL-3.0-or-later
// The routed experts of a layer for a few rows.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <cuda_runtime_api.h>

#include "engine/base/result.h"
#include "engine/kernels/cuda/stream_launch.h"
#include "engine/kernels/cuda/weight_view.h"
#include "engine/kernels/matrix.h"
#include "engine/kernels/operators.h"

namespace tandem::kernels::cuda {

/// Where the three matrices of an expert lie on the device.
struct ExpertPlace {
  const std::uint8_t* gateCodes = nullptr;
  const std::uint8_t* gateScales = nullptr;
  const std::uint8_t* upCodes = nullptr;
  const std::uint8_t* upScales = nullptr;
  const std::uint8_t* downCodes = nullptr;
  const std::uint8_t* downScales = nullptr;
};

/// The experts of one layer; the places are in device memory, so that a kernel can choose.
struct DeviceExperts {
  WeightFormat format = WeightFormat::Mxfp4;
  WeightShape gate;  // [I, D], of up too
  WeightShape down;  // [D, I]
  const ExpertPlace* places = nullptr;
};

/// The places of `experts`, whose matrices point into device memory, and their shapes in `shapes`;
/// `shapes.places` stays null until the caller has copied them.
///
/// Fails    InvalidArgument when there are none, or they differ in shape or format, or are float.
[[nodiscard]] Result<std::vector<ExpertPlace>> placesOf(const ExpertWeights& experts,
                                                        DeviceExperts& shapes);

/// What the experts need between their kernels, in device memory, made once for the most rows a
/// step has.
struct ExpertScratch {
  Matrix<float> hidden;       // [rows * K, I]: row r's pick j at r * K + j
  Matrix<std::int32_t> plan;  // [ceil(rows / 8), expertPlanColumns(K)]
};

/// Rows of tokens that share one reading of an expert.
inline constexpr int kExpertRows = 8;

/// Of a plan's row: the number of different experts that its eight rows picked, those in ascending
/// order, and for each of them the pick's number of every row, or -1.
[[nodiscard]] constexpr std::int64_t expertPlanColumns(std::int64_t picks) {
  return 1 + kExpertRows * picks * (1 + kExpertRows);
}

/// out[r] += Σ_j w2_e · (silu(min(w1_e · x, limit)) * clamp(w3_e · x, ±limit) * weights[r, j])
/// over e = picks[r, j], in ascending order of e.
///
/// out, x [rows, D]; picks, weights [rows, K], K at most 32, no expert twice in a row; all in
/// device memory, out apart from x. Each expert that one of eight rows picked is read once for all
/// of them. With Fp8Groups x is expected to be rounded already (roundActivations), and what goes
/// into w2 is rounded here. MXFP4 scales must be at most 2.
///
/// Products are exact and sums are float, in an order that D, I and the row's own picks decide.
/// Queued on `stream`: four launches at most.
///
/// Fails    InvalidArgument when K or the scratch does not fit;
///          Internal when a launch is refused, in CUDA's words.
[[nodiscard]] Result<void> experts(Matrix<float> out,
                                   Matrix<const float> x,
                                   Matrix<const std::int32_t> picks,
                                   Matrix<const float> weights,
                                   const DeviceExperts& experts,
                                   float limit,
                                   ActivationRounding rounding,
                                   const ExpertScratch& scratch,
                                   const DeviceLimits& limits,
                                   cudaStream_t stream);

}  // namespace tandem::kernels::cuda
