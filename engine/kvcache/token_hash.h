// SPDX-License-Identifier: GPL-3.0-or-later
// Hashes of runs of tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/kvcache/cache_key.h"

namespace tandem::kvcache {

/// Where to look for a run of tokens, not proof of having found it.
using TokenHash = std::uint64_t (*)(std::span<const TokenId> tokens);

/// XXH3-64 of the ids in memory order.
[[nodiscard]] std::uint64_t hashTokens(std::span<const TokenId> tokens);

/// Names a whole prefix, outside this process too; all zero for the empty one.
struct ChainHash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend bool operator==(const ChainHash&, const ChainHash&) = default;
};

/// XXH3-128 of the parent's hash (low, high) and the kSnapshotAlignment ids that follow it, as
/// little-endian machines have them in memory.
[[nodiscard]] ChainHash extendChain(const ChainHash& parent, std::span<const TokenId> tokens);

/// Those of all whole nodes of `tokens`, from the first on.
[[nodiscard]] std::vector<ChainHash> chainsOf(std::span<const TokenId> tokens);

/// XXH3-128, for what else names a prefix.
[[nodiscard]] ChainHash hashText(std::string_view text);

/// As the disk names it: low, then high, little endian.
[[nodiscard]] CacheKey keyOf(const ChainHash& chain);

}  // namespace tandem::kvcache
