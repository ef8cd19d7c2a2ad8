// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/kv_cache_manager.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>

#include "engine/kvcache/snapshot_positions.h"
#include "engine/kvcache/token_hash.h"

namespace tandem::kvcache {

namespace {

std::int32_t blocksFor(std::int64_t tokens) {
  return static_cast<std::int32_t>((tokens + kBlockTokens - 1) / kBlockTokens);
}

/// The nodes of a path whose blocks a sequence shares that resumes at the path's end: the second of
/// each block, which holds both halves.
constexpr std::size_t kNodesPerBlock = kBlockTokens / kSnapshotAlignment;

/// The last of `nodes` nodes whose entries lie in their `block`-th block.
std::size_t lastNodeOf(std::size_t block, std::size_t nodes) {
  return std::min(block * kNodesPerBlock + kNodesPerBlock, nodes) - 1;
}

}  // namespace

KvCacheManager::KvCacheManager(const CacheCapacity& capacity,
                               bool keepPrefixes,
                               std::int64_t maxDrafts)
    : capacity_(capacity),
      keepPrefixes_(keepPrefixes && capacity.snapshots > 0),
      maxDrafts_(maxDrafts),
      blocks_(capacity.blocks),
      slots_(capacity.sequences),
      snapshots_(capacity.snapshots),
      prefixes_(blocks_) {
  assert(maxDrafts >= 0 && maxDrafts < kSnapshotAlignment);
}

std::optional<SequenceKv> KvCacheManager::admit(std::span<const TokenId> tokens,
                                                std::span<const std::int64_t> boundaries,
                                                std::int64_t reserveTokens) {
  assert(!tokens.empty());
  if (slots_.free() == 0 || blocksFor(reserveTokens) > blocks_.total()) {
    return std::nullopt;
  }
  std::vector<PrefixNode> path;
  if (keepPrefixes_) {
    path = prefixes_.find(tokens.first(tokens.size() - 1));
  }
  const std::optional<Start> start = chooseStart(path, std::ssize(tokens), reserveTokens);
  if (!start) {
    return std::nullopt;
  }

  SequenceKv kv;
  kv.slot = *slots_.take();
  kv.cachedTokens = start->position;
  kv.committed = start->position;
  kv.newestPosition = start->position;
  if (start->nodes > 0) {
    path.resize(start->nodes);
    resume(kv, path);
  }
  addBlocks(kv, start->newBlocks);
  if (start->position % kBlockTokens != 0) {
    const BlockId copy = kv.blocks[static_cast<std::size_t>(start->position / kBlockTokens)];
    pending_.copies.push_back({path.back().block, copy});
    resuming_.back().copy = copy;
  }

  const auto promptTokens = static_cast<std::int64_t>(tokens.size());
  if (keepPrefixes_) {
    kv.wantedSnapshots =
        snapshotPositions(promptTokens, boundaries, kv.cachedTokens, capacity_.snapshots);
  }
  queriedTokens_ += promptTokens;
  hitTokens_ += kv.cachedTokens;
  return kv;
}

bool KvCacheManager::reserve(SequenceKv& kv, std::int64_t tokens) {
  const std::int32_t missing = blocksFor(tokens) - static_cast<std::int32_t>(kv.blocks.size());
  if (missing <= 0) {
    return true;
  }
  if (missing > blocks_.free() + blocks_.onlyKept()) {
    return false;
  }
  addBlocks(kv, missing);
  return true;
}

std::int64_t KvCacheManager::chunkEnd(const SequenceKv& kv, std::int64_t from, std::int64_t to) {
  const auto next = std::upper_bound(kv.wantedSnapshots.begin(), kv.wantedSnapshots.end(), from);
  return next == kv.wantedSnapshots.end() ? to : std::min(*next, to);
}

void KvCacheManager::commit(SequenceKv& kv,
                            std::span<const TokenId> tokens,
                            std::int64_t promptTokens,
                            std::int64_t committed) {
  const std::int64_t before = std::exchange(kv.committed, committed);
  const std::int64_t position = alignedDown(committed);
  if (!keepPrefixes_ || position <= before) {
    return;
  }
  const auto passed =
      std::upper_bound(kv.wantedSnapshots.begin(), kv.wantedSnapshots.end(), committed);
  const bool wanted = passed != kv.wantedSnapshots.begin() && *(passed - 1) == position;
  kv.wantedSnapshots.erase(kv.wantedSnapshots.begin(), passed);
  if (committed - position > maxDrafts_) {
    return;  // the slot holds that position's rows no more
  }
  // A prompt that happens to end here can go on with another answer, or with this one's reasoning
  // left out.
  if (wanted || position == promptTokens) {
    keepPrompt(kv, tokens.first(static_cast<std::size_t>(position)));
  } else if (position > promptTokens) {
    saveNewest(kv, position);
  }
}

void KvCacheManager::release(SequenceKv kv, std::span<const TokenId> tokens) {
  assert(std::ssize(tokens) >= kv.committed);
  cancelResuming(kv.slot);
  tokens = tokens.first(static_cast<std::size_t>(kv.committed));
  // A prompt that is interrupted between its wanted positions resumes here, if it can.
  if (keepPrefixes_ && kv.committed % kSnapshotAlignment == 0 && kv.committed > kv.newestPosition) {
    keepPrompt(kv, tokens);
  }
  giveNewest(kv, tokens);
  for (const BlockId block : kv.blocks) {
    blocks_.release(block);
  }
  slots_.give(kv.slot);
}

std::int64_t KvCacheManager::match(std::span<const TokenId> tokens) const {
  if (!keepPrefixes_ || tokens.empty()) {
    return 0;
  }
  const std::vector<PrefixNode> path = prefixes_.find(tokens.first(tokens.size() - 1));
  const auto deepest = std::find_if(path.rbegin(), path.rend(), [](const PrefixNode& node) {
    return node.snapshot.has_value();
  });
  return deepest == path.rend() ? 0 : deepest->position;
}

std::optional<PrefixRestore> KvCacheManager::beginRestore(std::span<const TokenId> prefix,
                                                          std::int64_t reserveTokens) {
  const std::vector<ChainHash> chains = chainsOf(prefix);
  assert(!chains.empty());
  if (!keepPrefixes_ || !pending_.fills.empty()) {
    return std::nullopt;
  }
  PrefixRestore restore;
  restore.position = static_cast<std::int64_t>(chains.size()) * kSnapshotAlignment;
  const auto wanted = static_cast<std::size_t>(blocksFor(restore.position));
  const std::vector<PrefixNode> path = prefixes_.find(prefix);
  const auto giveBack = [&] {
    for (const BlockId block : restore.blocks) {
      blocks_.release(block);
    }
  };
  // Held first, so that nothing that is evicted for the rest is of this path.
  while (restore.blocks.size() < wanted &&
         lastNodeOf(restore.blocks.size(), chains.size()) < path.size()) {
    const BlockId block = path[lastNodeOf(restore.blocks.size(), chains.size())].block;
    blocks_.share(block);
    restore.blocks.push_back(block);
  }
  // A sequence that resumes in the middle of a block copies it.
  const std::int32_t copied = restore.position % kBlockTokens == 0 ? 0 : 1;
  const std::int32_t needed = blocksFor(std::max(reserveTokens, restore.position)) + copied -
                              static_cast<std::int32_t>(restore.blocks.size());
  if (needed > blocks_.free() + blocks_.onlyKept()) {
    giveBack();
    return std::nullopt;
  }
  const std::optional<SnapshotId> snapshot = takeSnapshot();
  if (!snapshot) {
    giveBack();
    return std::nullopt;
  }
  restore.snapshot = *snapshot;
  [[maybe_unused]] const bool enough =
      makeFree(static_cast<std::int32_t>(wanted - restore.blocks.size()));
  assert(enough);
  for (std::size_t i = restore.blocks.size(); i < wanted; ++i) {
    restore.blocks.push_back(*blocks_.take());
    restore.pieces.push_back(
        {{RecordKind::Block, keyOf(chains[lastNodeOf(i, chains.size())])}, restore.blocks.back()});
  }
  restore.pieces.push_back({{RecordKind::Snapshot, keyOf(chains.back())}, restore.snapshot});
  return restore;
}

void KvCacheManager::finishRestore(const PrefixRestore& restore, std::span<const TokenId> prefix) {
  assert(std::ssize(prefix) == restore.position && pending_.fills.empty());
  const PrefixCache::Inserted inserted = prefixes_.insert(prefix, restore.blocks, restore.snapshot);
  pending_.fills = restore.pieces;
  if (inserted.unused) {
    freeSnapshot(*inserted.unused);
  }
  // A block that somebody else computed meanwhile is free now. To fill it does no harm: whoever
  // gets it writes to it afterwards.
  for (const BlockId block : restore.blocks) {
    blocks_.release(block);
  }
}

void KvCacheManager::cancelRestore(const PrefixRestore& restore) {
  for (const BlockId block : restore.blocks) {
    blocks_.release(block);
  }
  freeSnapshot(restore.snapshot);
}

std::int32_t KvCacheManager::shrink(std::int32_t blocks) {
  const std::int32_t before = blocks_.free();
  makeFree(before + std::min(blocks, blocks_.onlyKept()));
  const std::span<const BlockId> free = blocks_.freeBlocks();
  pending_.discards.assign(free.begin(), free.end());
  return blocks_.free() - before;
}

CacheOperations KvCacheManager::takeOperations() {
  for (const Resuming& resuming : resuming_) {
    endResuming(resuming);
  }
  resuming_.clear();
  return std::exchange(pending_, {});
}

KvUsage KvCacheManager::usage() const {
  KvUsage usage;
  usage.blocks = blocks_.total();
  usage.freeBlocks = blocks_.free();
  usage.prefixBlocks = blocks_.onlyKept();
  usage.liveBlocks = usage.blocks - usage.freeBlocks - usage.prefixBlocks;
  usage.snapshots = snapshots_.total();
  usage.usedSnapshots = snapshots_.total() - snapshots_.free();
  usage.queriedTokens = queriedTokens_;
  usage.hitTokens = hitTokens_;
  return usage;
}

std::optional<KvCacheManager::Start> KvCacheManager::chooseStart(std::span<const PrefixNode> path,
                                                                 std::int64_t promptTokens,
                                                                 std::int64_t reserveTokens) const {
  const std::int32_t obtainable = blocks_.free() + blocks_.onlyKept();
  const std::int32_t largestStep =
      blocksFor(std::max(reserveTokens, promptTokens + maxDrafts_ + 1));
  std::optional<Start> best;
  if (blocksFor(reserveTokens) <= obtainable) {
    best = Start{0, 0, blocksFor(reserveTokens)};
  }
  // Until the next plan, whoever resumes at a node needs the blocks of its whole path.
  std::int32_t onPath = 0;
  std::int32_t keptOnPath = 0;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const PrefixNode& node = path[i];
    if (i % kNodesPerBlock == 0 || path[i - 1].block != node.block) {
      ++onPath;
      keptOnPath += blocks_.onlyKept(node.block) ? 1 : 0;
    }
    const auto shared = static_cast<std::int32_t>(node.position / kBlockTokens);
    const std::int32_t missing = blocksFor(std::max(reserveTokens, node.position)) - shared;
    // Alone in the cache it must get through its first step, or it would be preempted for want of a
    // block that it holds itself, and again, for ever.
    const bool fitsAlone = largestStep + onPath - shared <= blocks_.total();
    if (node.snapshot && fitsAlone && missing <= obtainable - keptOnPath) {
      best = Start{i + 1, node.position, missing};
    }
  }
  return best;
}

void KvCacheManager::resume(SequenceKv& kv, std::span<const PrefixNode> path) {
  const PrefixNode& last = path.back();
  kv.kept = last.id;
  prefixes_.touch(last.id);
  prefixes_.pin(last.id);
  pending_.restores.push_back({*last.snapshot, kv.slot, last.position});
  Resuming& resuming = resuming_.emplace_back(Resuming{kv.slot, last.id, {}, {}});
  for (std::size_t i = 0; i < path.size(); ++i) {
    blocks_.share(path[i].block);
    if (i % kNodesPerBlock == kNodesPerBlock - 1) {
      kv.blocks.push_back(path[i].block);
    } else {
      resuming.held.push_back(path[i].block);
    }
  }
}

void KvCacheManager::endResuming(const Resuming& resuming) {
  prefixes_.unpin(resuming.node);
  for (const BlockId block : resuming.held) {
    blocks_.release(block);
  }
}

void KvCacheManager::cancelResuming(SlotId slot) {
  const auto found =
      std::find_if(resuming_.begin(), resuming_.end(), [slot](const Resuming& resuming) {
        return resuming.slot == slot;
      });
  if (found == resuming_.end()) {
    return;
  }
  // Slot and blocks may go to somebody else before the next plan.
  std::erase_if(pending_.restores,
                [slot](const SnapshotRestore& restore) { return restore.slot == slot; });
  std::erase_if(pending_.copies,
                [&](const BlockCopy& copy) { return found->copy && copy.to == *found->copy; });
  endResuming(*found);
  resuming_.erase(found);
}

void KvCacheManager::addBlocks(SequenceKv& kv, std::int32_t count) {
  [[maybe_unused]] const bool enough = makeFree(count);
  assert(enough);
  for (std::int32_t i = 0; i < count; ++i) {
    kv.blocks.push_back(*blocks_.take());
  }
}

/// Replaces kv.newest; leaves everything as it is when no snapshot can be had.
void KvCacheManager::saveNewest(SequenceKv& kv, std::int64_t position) {
  if (!kv.newest) {
    kv.newest = takeSnapshot();
  }
  if (!kv.newest) {
    return;
  }
  pending_.saves.push_back({kv.slot, position, *kv.newest});
  kv.newestPosition = position;
}

void KvCacheManager::keepPrompt(SequenceKv& kv, std::span<const TokenId> prefix) {
  const std::int64_t position = std::ssize(prefix);
  if (const std::optional<PrefixNodeId> node = prefixes_.findKept(prefix, kv.kept)) {
    prefixes_.touch(*node);  // somebody else computed the same
    dropNewest(kv);
    kv.kept = *node;
    kv.newestPosition = position;
    return;
  }
  saveNewest(kv, position);
  if (kv.newestPosition == position) {
    giveNewest(kv, prefix);
  }
}

void KvCacheManager::giveNewest(SequenceKv& kv, std::span<const TokenId> tokens) {
  if (!kv.newest) {
    return;
  }
  const PrefixCache::Inserted inserted =
      prefixes_.insert(tokens.first(static_cast<std::size_t>(kv.newestPosition)),
                       kv.blocks,
                       *kv.newest,
                       kv.kept);
  kv.kept = inserted.node;
  kv.newest.reset();
  if (inserted.unused) {
    freeSnapshot(*inserted.unused);
  }
  if (storePrefixes_) {
    orderStores(kv.kept);
  }
}

void KvCacheManager::orderStores(PrefixNodeId node) {
  const std::vector<PrefixNode> path = prefixes_.path(node);
  const auto order = [this](RecordKind kind, const PrefixNode& last, std::int32_t id) {
    const DiskPiece piece{{kind, keyOf(last.chain)}, id};
    const auto same = [&](const DiskPiece& other) { return other.record == piece.record; };
    // What came from the disk and is not filled in yet must not be read, and need not be.
    if (std::ranges::none_of(pending_.fills, same)) {
      pending_.stores.push_back(piece);
    }
  };
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (lastNodeOf(i / kNodesPerBlock, path.size()) == i ||
        (path[i].snapshot && path[i].position % kBlockTokens != 0)) {
      order(RecordKind::Block, path[i], path[i].block);
    }
    if (path[i].snapshot) {
      order(RecordKind::Snapshot, path[i], *path[i].snapshot);
    }
  }
}

void KvCacheManager::dropNewest(SequenceKv& kv) {
  if (kv.newest) {
    freeSnapshot(*kv.newest);
    kv.newest.reset();
  }
}

std::optional<SnapshotId> KvCacheManager::takeSnapshot() {
  if (snapshots_.free() == 0) {
    if (const std::optional<SnapshotId> evicted = prefixes_.evictSnapshot()) {
      freeSnapshot(*evicted);
    }
  }
  return snapshots_.take();
}

void KvCacheManager::freeSnapshot(SnapshotId snapshot) {
  // A save not yet carried out would overwrite what its next owner saves.
  std::erase_if(pending_.saves,
                [snapshot](const SnapshotSave& save) { return save.snapshot == snapshot; });
  const auto ofSnapshot = [snapshot](const DiskPiece& piece) {
    return piece.record.kind == RecordKind::Snapshot && piece.id == snapshot;
  };
  // A store would keep what that owner saves under this one's name, a fill would overwrite it.
  std::erase_if(pending_.stores, ofSnapshot);
  std::erase_if(pending_.fills, ofSnapshot);
  snapshots_.give(snapshot);
}

bool KvCacheManager::makeFree(std::int32_t blocks) {
  while (blocks_.free() < blocks) {
    const std::optional<SnapshotId> evicted = prefixes_.evictLeaf();
    if (!evicted) {
      return false;
    }
    freeSnapshot(*evicted);
  }
  return true;
}

}  // namespace tandem::kvcache
