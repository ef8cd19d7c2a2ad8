// SPDX-License-Identifier: GPL-3.0-or-later
// The shape of a packed weight matrix as the kernels take it.
#pragma once

#include <cstdint>

#include "engine/kernels/weight_matrix.h"

namespace tandem::kernels::cuda {

/// What matrices of one shape have in common, wherever they lie.
struct WeightShape {
  std::int64_t rowBytes = 0;
  std::int64_t scaleStride = 0;
  int rows = 0;
  int cols = 0;
  int blockRow = 0;
  int blockColumn = 0;
  int leadBytes = 0;         // from the start of the first 128 x 128 block to the first column
  bool wholePieces = false;  // rows and scales allow copies of 16 and 4 bytes
};

/// `weight` points into device memory.
[[nodiscard]] inline WeightShape shapeOf(const WeightMatrix& weight) {
  const auto codes = reinterpret_cast<std::uintptr_t>(weight.codes);
  const auto scales = reinterpret_cast<std::uintptr_t>(weight.scales);
  WeightShape shape;
  shape.rowBytes = weight.rowBytes();
  shape.scaleStride = weight.scaleStride;
  shape.rows = static_cast<int>(weight.rows);
  shape.cols = static_cast<int>(weight.cols);
  shape.blockRow = weight.blockRow;
  shape.blockColumn = weight.blockColumn;
  shape.leadBytes = weight.format == WeightFormat::Fp8Block ? weight.blockColumn : 0;
  shape.wholePieces =
      codes % 16 == 0 && shape.rowBytes % 16 == 0 && shape.leadBytes % 16 == 0 &&
      (weight.format != WeightFormat::Mxfp4 || (scales % 4 == 0 && weight.scaleStride % 4 == 0));
  return shape;
}

}  // namespace tandem::kernels::cuda
