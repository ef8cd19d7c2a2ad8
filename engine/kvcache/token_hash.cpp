// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/token_hash.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>

#include "engine/kvcache/cache_ids.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tandem::kvcache {

std::uint64_t hashTokens(std::span<const TokenId> tokens) {
  return XXH3_64bits(tokens.data(), tokens.size_bytes());
}

ChainHash extendChain(const ChainHash& parent, std::span<const TokenId> tokens) {
  struct Link {
    ChainHash parent;
    std::array<TokenId, kSnapshotAlignment> tokens{};
  };
  static_assert(sizeof(Link) == sizeof(ChainHash) + kSnapshotAlignment * sizeof(TokenId));
  assert(tokens.size() == static_cast<std::size_t>(kSnapshotAlignment));
  Link link{parent, {}};
  std::copy(tokens.begin(), tokens.end(), link.tokens.begin());
  const XXH128_hash_t hash = XXH3_128bits(&link, sizeof(link));
  return {hash.low64, hash.high64};
}

}  // namespace tandem::kvcache
