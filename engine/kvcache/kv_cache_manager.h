// SPDX-License-Identifier: GPL-3.0-or-later
// Gives running sequences their slots and blocks, and keeps what they leave for the next prompt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_operations.h"
#include "engine/kvcache/id_pool.h"
#include "engine/kvcache/prefix_cache.h"

namespace tandem::kvcache {

/// One sequence's part of the cache. The manager makes and changes it; a sequence that waits has
/// none.
struct SequenceKv {
  SlotId slot = -1;
  std::vector<BlockId> blocks;    // blocks[i] holds tokens [i * kBlockTokens, …)
  std::int64_t cachedTokens = 0;  // of the prompt, found on admission: computing starts there
  std::int64_t committed = 0;     // tokens in the cache for good

  /// Positions of the prompt, aligned and ascending, at which chunks end so that they can be kept.
  std::vector<std::int64_t> wantedSnapshots;
  /// The newest snapshot of its own that no prefix holds yet.
  std::optional<SnapshotId> newest;
  /// Where the last snapshot of it was taken, whoever holds that by now.
  std::int64_t newestPosition = 0;
  /// The deepest node it is known to have.
  PrefixNodeId kept;
};

/// Room for a prefix that is on its way from the disk. Made by beginRestore(), and given back with
/// finishRestore() or cancelRestore().
struct PrefixRestore {
  std::int64_t position = 0;    // tokens of the prefix
  std::vector<BlockId> blocks;  // all of it, a reference on each; those in memory are shared
  SnapshotId snapshot = -1;
  std::vector<DiskPiece> pieces;  // what must be fetched, and what it is to fill
};

/// Blocks by who needs them; live + prefix + free is the total.
struct KvUsage {
  std::int32_t blocks = 0;
  std::int32_t liveBlocks = 0;    // of running sequences, shared with prefixes or not; and what the
                                  // next operations read
  std::int32_t prefixBlocks = 0;  // of nothing but prefixes: can be had back
  std::int32_t freeBlocks = 0;
  std::int32_t snapshots = 0;
  std::int32_t usedSnapshots = 0;
  std::int64_t queriedTokens = 0;  // of all admitted prompts
  std::int64_t hitTokens = 0;      // of those, found
};

/// What it decides is carried out by every rank with the next plan: takeOperations(). A sequence
/// whose step is under way is committed before anything else is done with it. Rank 0, engine
/// thread; nothing here touches memory of the model.
///
/// Until the operations are taken, nothing that they read is given to anybody else, and what became
/// of no use drops out of them.
class KvCacheManager {
 public:
  /// keepPrefixes  false: nothing outlives its sequence, and no snapshot is ever taken
  /// maxDrafts     tokens by which a step may pass a position that is to be saved, as every rank's
  ///               slots have room for; below kSnapshotAlignment
  KvCacheManager(const CacheCapacity& capacity, bool keepPrefixes, std::int64_t maxDrafts = 0);

  ~KvCacheManager() = default;
  KvCacheManager(const KvCacheManager&) = delete;
  KvCacheManager& operator=(const KvCacheManager&) = delete;

  /// A slot, the longest kept prefix of `tokens` that leaves at least one to compute, and blocks up
  /// to `reserveTokens` or the end of that prefix, if that is further. Evicts unpinned prefixes for
  /// it, oldest use first. Nothing, and nothing changed, when there is no slot or not enough.
  ///
  /// Resuming can take more room than beginning anew (a block to copy from and one to copy to):
  /// then it resumes earlier, or begins anew, rather than not at all.
  ///
  /// tokens         at least one
  /// boundaries     positions where messages begin: good places to resume (ascending, may be empty)
  /// reserveTokens  at least what its first step will need: until that has its plan, no block that
  ///                the sequence resumes from can be had, and reserve() may refuse what it grants
  ///                later
  [[nodiscard]] std::optional<SequenceKv> admit(std::span<const TokenId> tokens,
                                                std::span<const std::int64_t> boundaries,
                                                std::int64_t reserveTokens);

  /// Sees to it that the blocks reach `tokens` tokens, evicting as admit(). False, and nothing
  /// changed, when that many cannot be had even without any prefix: preempt somebody.
  [[nodiscard]] bool reserve(SequenceKv& kv, std::int64_t tokens);

  /// Where a chunk [from, to) must end so that no wanted snapshot is passed over: in (from, to].
  [[nodiscard]] static std::int64_t chunkEnd(const SequenceKv& kv,
                                             std::int64_t from,
                                             std::int64_t to);

  /// After a step: the first `committed` of `tokens` are in the cache for good. Orders snapshots,
  /// in the prompt at the wanted positions, in the answer at every multiple of kSnapshotAlignment
  /// that was passed (the newest replaces the one before), and gives those of the prompt to the
  /// prefix cache at once. A position that the step passed by more than maxDrafts is left out.
  void commit(SequenceKv& kv,
              std::span<const TokenId> tokens,
              std::int64_t promptTokens,
              std::int64_t committed);

  /// The end of a sequence, or its preemption: slot and blocks go back, what the newest snapshot
  /// covers goes to the prefix cache. `tokens` are the committed ones; more may follow.
  void release(SequenceKv kv, std::span<const TokenId> tokens);

  /// The tokens of `tokens` that admit() would find kept now, if there is room.
  [[nodiscard]] std::int64_t match(std::span<const TokenId> tokens) const;

  /// From now on every prefix that is given to the cache is ordered to be stored as well: the
  /// blocks and snapshots of its whole path, whether the disk has them or not.
  void storePrefixes() { storePrefixes_ = true; }

  /// Takes a snapshot and those blocks for `prefix` that are not in memory, evicting as admit().
  /// Nothing, and nothing changed but what was evicted, when there is no room for them and for a
  /// sequence that goes on from them, or before the last restore's fills are taken.
  ///
  /// prefix         whole nodes, at least one
  /// reserveTokens  what the sequence will need, and whatever else must stay obtainable
  [[nodiscard]] std::optional<PrefixRestore> beginRestore(std::span<const TokenId> prefix,
                                                          std::int64_t reserveTokens);

  /// Every rank has the pieces: orders that they are filled in, and keeps the prefix.
  void finishRestore(const PrefixRestore& restore, std::span<const TokenId> prefix);

  void cancelRestore(const PrefixRestore& restore);

  /// Gives back blocks of unpinned prefixes, oldest use first, until `blocks` came free or none is
  /// left, and orders the memory of all free blocks to go back to the host. Returns how many came
  /// free.
  std::int32_t shrink(std::int32_t blocks);

  /// What was decided since the last call. It must reach every rank's cache before anything that is
  /// decided later.
  [[nodiscard]] CacheOperations takeOperations();
  [[nodiscard]] bool hasOperations() const { return !pending_.empty(); }
  /// Whether a restore is finished but for its plan: until then none can begin.
  [[nodiscard]] bool hasFills() const { return !pending_.fills.empty(); }

  [[nodiscard]] KvUsage usage() const;
  [[nodiscard]] std::int32_t freeSlots() const { return slots_.free(); }
  [[nodiscard]] const CacheCapacity& capacity() const { return capacity_; }
  [[nodiscard]] const PrefixCache& prefixes() const { return prefixes_; }

 private:
  /// A sequence that resumes with the operations not yet taken.
  struct Resuming {
    SlotId slot = -1;
    PrefixNodeId node;            // pinned: its snapshot is restored
    std::vector<BlockId> held;    // of its path, as long as it cannot be evicted
    std::optional<BlockId> copy;  // the block that is copied to
  };
  /// What admit() settles on before it changes anything.
  struct Start {
    std::size_t nodes = 0;  // of the path that are resumed from; none: begin anew
    std::int64_t position = 0;
    std::int32_t newBlocks = 0;
  };

  [[nodiscard]] std::optional<Start> chooseStart(std::span<const PrefixNode> path,
                                                 std::int64_t promptTokens,
                                                 std::int64_t reserveTokens) const;
  void resume(SequenceKv& kv, std::span<const PrefixNode> path);
  void endResuming(const Resuming& resuming);
  void cancelResuming(SlotId slot);
  void addBlocks(SequenceKv& kv, std::int32_t count);

  void saveNewest(SequenceKv& kv, std::int64_t position);
  void keepPrompt(SequenceKv& kv, std::span<const TokenId> prefix);
  void giveNewest(SequenceKv& kv, std::span<const TokenId> tokens);
  void dropNewest(SequenceKv& kv);
  void orderStores(PrefixNodeId node);

  [[nodiscard]] std::optional<SnapshotId> takeSnapshot();
  void freeSnapshot(SnapshotId snapshot);
  /// Evicts until so many blocks are free. False when it ran out of prefixes.
  bool makeFree(std::int32_t blocks);

  const CacheCapacity capacity_;
  const bool keepPrefixes_;
  const std::int64_t maxDrafts_;
  bool storePrefixes_ = false;
  BlockPool blocks_;
  IdPool slots_;
  IdPool snapshots_;
  PrefixCache prefixes_;

  CacheOperations pending_;
  std::vector<Resuming> resuming_;
  std::int64_t queriedTokens_ = 0;
  std::int64_t hitTokens_ = 0;
};

}  // namespace tandem::kvcache
