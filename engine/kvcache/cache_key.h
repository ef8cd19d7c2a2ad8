// SPDX-License-Identifier: GPL-3.0-or-later
// The name of a cached piece: a hash of the tokens it stands for and of all tokens before them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tandem::kvcache {

/// 128 bits, evenly spread: two different prefixes with one key are not expected to be seen.
struct CacheKey {
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const CacheKey&, const CacheKey&) = default;
};

/// For hash tables. The key is a hash already.
struct CacheKeyHash {
  [[nodiscard]] std::size_t operator()(const CacheKey& key) const {
    std::size_t value = 0;
    std::memcpy(&value, key.bytes.data(), sizeof value);
    return value;
  }
};

}  // namespace tandem::kvcache
