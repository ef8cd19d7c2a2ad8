// SPDX-License-Identifier: GPL-3.0-or-later
// What the memory for keys and values holds, and how often a prompt was found there.
#pragma once

#include <cstdint>
#include <optional>

namespace tandem::api {

/// Blocks of the pool, now. total = live + prefix + free. All zero while there is no pool.
struct KvBlocks {
  int tokensPerBlock = 0;
  std::int64_t total = 0;
  std::int64_t live = 0;    // held by at least one running request, shared ones counted once
  std::int64_t prefix = 0;  // held by none, kept for prompts that begin the same; given up on need
  std::int64_t free = 0;

  friend bool operator==(const KvBlocks&, const KvBlocks&) = default;
};

/// The prefix cache. Totals count from process start; unknown is nothing.
struct PrefixCacheStats {
  std::uint64_t queriedTokens = 0;             // prompt tokens of admitted requests
  std::uint64_t hitTokens = 0;                 // of them, already computed
  std::int64_t snapshots = 0;                  // states held now that a request can go on from
  std::optional<std::uint64_t> diskBytes;      // on disk now
  std::optional<std::uint64_t> diskHitTokens;  // of hitTokens, read from disk

  friend bool operator==(const PrefixCacheStats&, const PrefixCacheStats&) = default;
};

}  // namespace tandem::api
