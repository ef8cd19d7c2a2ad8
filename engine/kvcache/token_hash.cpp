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

std::vector<ChainHash> chainsOf(std::span<const TokenId> tokens) {
  constexpr auto kNodeTokens = static_cast<std::size_t>(kSnapshotAlignment);
  std::vector<ChainHash> chains;
  chains.reserve(tokens.size() / kNodeTokens);
  ChainHash chain;
  for (; tokens.size() >= kNodeTokens; tokens = tokens.subspan(kNodeTokens)) {
    chain = extendChain(chain, tokens.first(kNodeTokens));
    chains.push_back(chain);
  }
  return chains;
}

ChainHash hashText(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

CacheKey keyOf(const ChainHash& chain) {
  CacheKey key;
  for (std::size_t i = 0; i < sizeof chain.low; ++i) {
    key.bytes[i] = static_cast<std::uint8_t>(chain.low >> (8 * i));
    key.bytes[sizeof chain.low + i] = static_cast<std::uint8_t>(chain.high >> (8 * i));
  }
  return key;
}

}  // namespace tandem::kvcache
