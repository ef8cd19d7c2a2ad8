// SPDX-License-Identifier: GPL-3.0-or-later
// Which part of a tensor-parallel dimension a rank holds.
#pragma once

#include <cassert>
#include <cstdint>

namespace tandem::comm {

/// Half-open range of rows, columns, heads or groups.
struct ShardRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  [[nodiscard]] std::int64_t count() const { return end - begin; }
};

/// Rank r of n holds the r-th of n equal parts (Megatron's column and row parallel slices).
struct ShardSpec {
  int rank = 0;
  int ranks = 1;

  /// Needs total % ranks == 0, which the model configuration has checked.
  [[nodiscard]] ShardRange slice(std::int64_t total) const {
    assert(total % ranks == 0);
    const std::int64_t part = total / ranks;
    return {rank * part, (rank + 1) * part};
  }
};

}  // namespace tandem::comm
