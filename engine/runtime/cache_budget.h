// SPDX-License-Identifier: GPL-3.0-or-later
// How many blocks, slots and snapshots a budget of bytes buys.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_layout.h"

namespace tandem::runtime {

/// Of one node. Swap never counts as available.
struct HostMemory {
  std::uint64_t availableBytes = 0;  // with the weights loaded
  std::uint64_t keptBytes = 0;       // that must stay available, whatever the utilization
  int ranksHere = 1;                 // that take their caches from it
};

/// utilization  (0, 1] of what is available now
[[nodiscard]] std::uint64_t cacheBudget(const HostMemory& memory, double utilization);

struct CacheNeeds {
  int sequences = 1;               // sequences at the same time
  std::int64_t contextTokens = 0;  // of the longest sequence, drafts included
  bool keepPrefixes = true;
};

/// Slots first, then an eighth of the rest for snapshots, the rest for blocks; of both no more than
/// twice what all slots at full length use.
///
/// Fails with OutOfMemory when one sequence of the full context does not fit.
Result<kvcache::CacheCapacity> planCapacity(std::uint64_t budgetBytes,
                                            const kvcache::CacheLayout& layout,
                                            const CacheNeeds& needs);

/// "4,161,536 tokens in 14.8 GiB: room for 3.9 requests of 1,048,576 tokens"
[[nodiscard]] std::string describeCapacity(const kvcache::CacheCapacity& capacity,
                                           const kvcache::CacheLayout& layout,
                                           std::int64_t contextTokens);

}  // namespace tandem::runtime
