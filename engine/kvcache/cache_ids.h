// SPDX-License-Identifier: GPL-3.0-or-later
// How the ranks name the parts of their caches: the same number means the same part on each.
#pragma once

#include <cstdint>

namespace tandem::kvcache {

/// The compressed entries of kBlockTokens consecutive tokens, all layers.
using BlockId = std::int32_t;

/// The tail of one running sequence: window rows, raw compressor rows and what the MTP module
/// needs, all layers. A fixed size, however long the sequence.
using SlotId = std::int32_t;

/// A kept copy of a slot as it was at one position.
using SnapshotId = std::int32_t;

inline constexpr std::int64_t kBlockTokens = 256;

/// Positions that a snapshot can have. There every HCA window is complete, so the tail holds
/// nothing of ratio 128 and only the previous window of ratio 4.
inline constexpr std::int64_t kSnapshotAlignment = 128;

/// How many of each a cache has, on every rank.
struct CacheCapacity {
  std::int32_t blocks = 0;
  std::int32_t sequences = 0;  // that run at the same time: slots
  std::int32_t snapshots = 0;

  friend bool operator==(const CacheCapacity&, const CacheCapacity&) = default;
};

}  // namespace tandem::kvcache
