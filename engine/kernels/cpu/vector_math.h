// SPDX-License-Identifier: GPL-3.0-or-later
// The inner loops of the CPU back end: dot products, sums and unpacking, each with one fixed order.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/kernels/weight_matrix.h"

namespace tandem::kernels {

/// Σ a[i] * b[i] in float: 16 partial sums, lane by lane, then added pairwise. The order depends on
/// the length alone.
[[nodiscard]] float dotProduct(const float* a, const float* b, std::int64_t count);

/// Rows that are worked on at the same time.
using FourRows = std::array<const float*, 4>;

/// out[k] = Σ a[i] * b[k][i] for k = 0 … 3, each to the bit what dotProduct gives.
void dotProducts4(float* out, const float* a, const FourRows& b, std::int64_t count);

/// out[i] += factor * x[i]
void addScaled(float* out, const float* x, float factor, std::int64_t count);

/// The same for four rows, in their order, to the bit what four calls give.
void addScaled4(float* out, const FourRows& x, const float* factors, std::int64_t count);

/// As expandRow of weight_matrix.h, faster, and equal to it for every code but the NaNs.
void unpackRow(const WeightMatrix& weight, std::int64_t row, float* out);

}  // namespace tandem::kernels
