// SPDX-License-Identifier: GPL-3.0-or-later
// What every layer of one forward step shares: its rows, its back end, its scratch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/comm/communicator.h"
#include "engine/kernels/numerics.h"
#include "engine/kernels/operators.h"
#include "engine/kvcache/kv_cache.h"
#include "engine/model/rope.h"

namespace tandem::model {

/// Consecutive rows of a step that belong to one sequence.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t position = 0;  // of the first row
  kvcache::SlotId slot = 0;
  std::span<const kvcache::BlockId> blocks;  // reach the last row
};

/// The choices a layer made, for tests that follow the oracle.
struct LayerTrace {
  std::vector<std::int32_t> experts;      // [rows * K]
  std::vector<std::int32_t> entries;      // [rows * topk] chosen by the indexer
  std::vector<std::int32_t> entryCounts;  // [rows]
};

/// Memory that grows to the largest step and is then reused.
class Scratch {
 public:
  /// `rows` x `cols` uninitialised floats, valid until the next call.
  [[nodiscard]] kernels::Matrix<float> take(std::int64_t rows, std::int64_t cols) {
    memory_.resize(std::max(memory_.size(), static_cast<std::size_t>(rows * cols)));
    return {memory_.data(), rows, cols};
  }

 private:
  std::vector<float> memory_;
};

/// One forward step. `layer` methods of different concepts use different scratch members.
struct Step {
  kernels::Operators& operators;
  comm::Communicator& communicator;
  kvcache::KvCache& cache;
  kernels::Numerics numerics = kernels::Numerics::Cache;

  std::span<const TokenId> tokens;          // one a row
  std::span<const std::int64_t> positions;  // one a row
  std::span<const RowRange> ranges;         // cover the rows in order
  LayerTrace* trace = nullptr;              // may be null

  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
  [[nodiscard]] kernels::ActivationRounding rounding() const {
    return numerics == kernels::Numerics::Act ? kernels::ActivationRounding::Fp8Groups
                                              : kernels::ActivationRounding::None;
  }
  [[nodiscard]] bool roundsCaches() const { return numerics != kernels::Numerics::Exact; }
};

}  // namespace tandem::model
