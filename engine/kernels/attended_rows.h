// SPDX-License-Identifier: GPL-3.0-or-later
// Which key rows a query attends to, on any back end that reads them through host pointers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/kernels/operators.h"

namespace tandem::kernels {

/// Fills `rows` with the keys of query `r`, which stands at `position`: the window's in order of
/// position, then its compressed entries.
inline void attendedRows(std::vector<const float*>& rows,
                         const AttentionKeys& keys,
                         std::int64_t r,
                         std::int64_t position) {
  rows.clear();
  for (std::int64_t p = std::max<std::int64_t>(0, position - keys.windowTokens + 1); p <= position;
       ++p) {
    rows.push_back(keys.window.row(p % keys.window.rows));
  }
  if (keys.entries.rows > 0) {
    for (std::int32_t i = 0; i < keys.entryCount[static_cast<std::size_t>(r)]; ++i) {
      rows.push_back(keys.entries.row(keys.chosen.rows > 0 ? keys.chosen.row(r)[i] : i));
    }
  }
}

}  // namespace tandem::kernels
