// SPDX-License-Identifier: GPL-3.0-or-later
// The part of a stored tensor that one rank holds.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/comm/shard_spec.h"
#include "engine/model/weight_map.h"

namespace tandem::model {

/// Half-open ranges in stored elements; a 1-D tensor has one column.
///
/// A cut through FP8 weights may fall inside a 128 x 128 block: then the weights begin `blockRow`
/// rows or `blockColumn` columns into their first block, and the scales' slice holds every block
/// that the weights' slice touches.
struct WeightSlice {
  std::int64_t rowBegin = 0;
  std::int64_t rowEnd = 0;
  std::int64_t columnBegin = 0;
  std::int64_t columnEnd = 0;
  int blockRow = 0;     // [0, 128); 0 but for Fp8Weight
  int blockColumn = 0;  // [0, 128); 0 but for Fp8Weight

  [[nodiscard]] std::int64_t rows() const { return rowEnd - rowBegin; }
  [[nodiscard]] std::int64_t columns() const { return columnEnd - columnBegin; }

  /// Bytes of the slice when its elements are stored as `dtype`.
  [[nodiscard]] std::uint64_t bytes(DType dtype) const {
    return static_cast<std::uint64_t>(rows()) * static_cast<std::uint64_t>(columns()) *
           static_cast<std::uint64_t>(dtypeBytes(dtype));
  }
};

/// Needs a configuration that checkTensorParallel accepts for shard.ranks.
[[nodiscard]] WeightSlice sliceFor(const TensorPlan& plan, comm::ShardSpec shard);

}  // namespace tandem::model
