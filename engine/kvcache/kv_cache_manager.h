// SPDX-License-Identifier: GPL-3.0-or-later
// Gives running sequences their slots and blocks, and keeps what they leave for the next prompt.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_operations.h"
#include "engine/kvcache/prefix_cache.h"

namespace tandem::kvcache {

/// One sequence's part of the cache. The manager makes and changes it; a sequence that waits has
/// none.
struct SequenceKv {
  SlotId slot = -1;
  std::vector<BlockId> blocks;    // blocks[i] holds tokens [i * kBlockTokens, …)
  std::int64_t cachedTokens = 0;  // of the prompt, found on admission: computing starts there

  /// Positions of the prompt, aligned and ascending, at which chunks end so that they can be kept.
  std::vector<std::int64_t> wantedSnapshots;
  /// The newest snapshot of its own that no prefix holds yet.
  std::optional<SnapshotId> newest;
  std::int64_t newestPosition = 0;
};

/// Blocks by who needs them; live + prefix + free is the total.
struct KvUsage {
  std::int32_t blocks = 0;
  std::int32_t liveBlocks = 0;    // of running sequences, shared with prefixes or not
  std::int32_t prefixBlocks = 0;  // of nothing but prefixes: can be had back
  std::int32_t freeBlocks = 0;
  std::int32_t snapshots = 0;
  std::int32_t usedSnapshots = 0;
  std::int64_t queriedTokens = 0;  // of all admitted prompts
  std::int64_t hitTokens = 0;      // of those, found
};

/// What it decides is carried out by every rank with the next plan: takeOperations(). Rank 0,
/// engine thread; nothing here touches memory of the model.
class KvCacheManager {
 public:
  /// keepPrefixes  false: nothing outlives its sequence, and no snapshot is ever taken
  KvCacheManager(const CacheCapacity& capacity, bool keepPrefixes);

  /// A slot, the longest kept prefix of `tokens` that leaves at least one to compute, and blocks up
  /// to `reserveTokens`. Evicts unpinned prefixes for it, oldest use first. Nothing, and nothing
  /// changed, when there is no slot or not enough.
  ///
  /// boundaries  positions where messages begin: good places to resume (ascending, may be empty)
  [[nodiscard]] std::optional<SequenceKv> admit(std::span<const TokenId> tokens,
                                                std::span<const std::int64_t> boundaries,
                                                std::int64_t reserveTokens);

  /// Sees to it that the blocks reach `tokens` tokens, evicting as admit(). False, and nothing
  /// changed, when that many cannot be had even without any prefix: preempt somebody.
  [[nodiscard]] bool reserve(SequenceKv& kv, std::int64_t tokens);

  /// Where a chunk [from, to) must end so that no wanted snapshot is passed over: in (from, to].
  [[nodiscard]] static std::int64_t chunkEnd(const SequenceKv& kv, std::int64_t from, std::int64_t to);

  /// After a step: the first `committed` of `tokens` are in the cache for good. Orders snapshots, in
  /// the prompt at the wanted positions, in the answer at every multiple of kSnapshotAlignment that
  /// was passed (the newest replaces the one before), and gives those of the prompt to the prefix
  /// cache at once. `committed` may have passed an aligned position by at most kMaxDrafts.
  void commit(SequenceKv& kv, std::span<const TokenId> tokens, std::int64_t promptTokens, std::int64_t committed);

  /// The end of a sequence, or its preemption: slot and blocks go back, what the newest snapshot
  /// covers goes to the prefix cache. `tokens` are the committed ones.
  void release(SequenceKv kv, std::span<const TokenId> tokens);

  /// The tokens of `tokens` that admit() would find kept now.
  [[nodiscard]] std::int64_t match(std::span<const TokenId> tokens) const;

  /// Gives back blocks of unpinned prefixes, oldest use first, until `blocks` came free or none is
  /// left. Returns how many did.
  std::int32_t shrink(std::int32_t blocks);

  /// What was decided since the last call.
  [[nodiscard]] CacheOperations takeOperations();

  [[nodiscard]] KvUsage usage() const;
  [[nodiscard]] std::int32_t freeSlots() const;
  [[nodiscard]] const CacheCapacity& capacity() const;
};

}  // namespace tandem::kvcache
