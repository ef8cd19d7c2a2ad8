// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/weight_slice.h"

namespace tandem::model {

namespace {

constexpr std::int64_t kFp8Block = 128;
constexpr std::int64_t kFp4Group = 32;
constexpr std::int64_t kFp4Packed = 2;  // elements a byte

/// A range of the matrix's rows or columns as a range of the stored tensor's.
comm::ShardRange storedRange(const TensorPlan& plan, comm::ShardRange range) {
  switch (plan.role) {
    case TensorRole::Fp8Scale:
      return {range.begin / kFp8Block, (range.end + kFp8Block - 1) / kFp8Block};
    case TensorRole::Fp4Weight:
      return plan.slice == Slice::Columns
                 ? comm::ShardRange{range.begin / kFp4Packed, range.end / kFp4Packed}
                 : range;
    case TensorRole::Fp4Scale:
      return plan.slice == Slice::Columns
                 ? comm::ShardRange{range.begin / kFp4Group, range.end / kFp4Group}
                 : range;
    case TensorRole::Fp8Weight:
    case TensorRole::Plain:
    case TensorRole::Table:
      break;
  }
  return range;
}

}  // namespace

WeightSlice sliceFor(const TensorPlan& plan, comm::ShardSpec shard) {
  WeightSlice slice;
  slice.rowEnd = plan.shape.front();
  slice.columnEnd = plan.shape.size() > 1 ? plan.shape[1] : 1;
  if (plan.slice == Slice::Replicated || shard.ranks == 1) {
    return slice;
  }
  const comm::ShardRange range = shard.slice(plan.sliceUnit);
  const comm::ShardRange stored = storedRange(plan, range);
  const int within =
      plan.role == TensorRole::Fp8Weight ? static_cast<int>(range.begin % kFp8Block) : 0;
  if (plan.slice == Slice::Rows) {
    slice.rowBegin = stored.begin;
    slice.rowEnd = stored.end;
    slice.blockRow = within;
  } else {
    slice.columnBegin = stored.begin;
    slice.columnEnd = stored.end;
    slice.blockColumn = within;
  }
  return slice;
}

}  // namespace tandem::model
