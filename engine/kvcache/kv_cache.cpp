// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/kv_cache.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace tandem::kvcache {

namespace {

/// Rows position - count … position - 1 of a ring, the oldest first.
template <typename Row>
void copyNewest(std::byte* to,
                std::int64_t position,
                std::int64_t count,
                std::size_t bytes,
                Row row) {
  for (std::int64_t p = std::max<std::int64_t>(0, position - count); p < position; ++p) {
    std::memcpy(to, row(p), bytes);
    to += bytes;
  }
}

}  // namespace

void KvCache::Unmap::operator()(std::byte* memory) const {
  ::munmap(memory, bytes);
}

Result<std::unique_ptr<KvCache>> KvCache::create(const CacheShape& shape,
                                                 const CacheCapacity& capacity) {
  std::unique_ptr<KvCache> cache(new KvCache(shape, capacity));
  const std::size_t bytes = std::max<std::size_t>(cache->memoryBytes_, 1);
  // Pages are the host's until they are written to, and can go back to it block by block.
  void* const memory = ::mmap(nullptr,
                              bytes,
                              PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                              -1,
                              0);
  if (memory == MAP_FAILED) {
    return Error{ErrorCode::OutOfMemory,
                 fmt::format("no {:.1f} MiB for the KV cache ({} blocks of {} tokens, {} slots, {} "
                             "snapshots)",
                             static_cast<double>(cache->memoryBytes_) / (1 << 20),
                             capacity.blocks,
                             kBlockTokens,
                             capacity.sequences,
                             capacity.snapshots),
                 "Give the cache less (--kv-gib), or close other programs."};
  }
  cache->memory_ = {static_cast<std::byte*>(memory), Unmap{bytes}};
  cache->blocks_ = cache->memory_.get();
  cache->slots_ =
      cache->blocks_ + static_cast<std::size_t>(capacity.blocks) * cache->layout_.blockBytes();
  cache->snapshots_ =
      cache->slots_ + static_cast<std::size_t>(capacity.sequences) * cache->layout_.slotBytes();
  return cache;
}

KvCache::KvCache(const CacheShape& shape, const CacheCapacity& capacity)
    : layout_(shape),
      capacity_(capacity),
      carried_(static_cast<std::size_t>(capacity.sequences)) {
  memoryBytes_ = static_cast<std::uint64_t>(capacity.blocks) * layout_.blockBytes() +
                 static_cast<std::uint64_t>(capacity.sequences) * layout_.slotBytes() +
                 static_cast<std::uint64_t>(capacity.snapshots) * layout_.snapshotBytes();
}

// Views
// ------------------------------------------------------------------------------------------------

kernels::EntryPages<std::byte> KvCache::entries(std::int64_t layer,
                                                std::span<const BlockId> blocks) const {
  const LayerPlace& place = layout_.layers()[static_cast<std::size_t>(layer)];
  return {layout_.shape().entry,
          blocks_ + place.entries,
          static_cast<std::int64_t>(layout_.blockBytes()),
          place.entriesPerBlock,
          blocks};
}

kernels::EntryPages<std::byte> KvCache::indexerKeys(std::int64_t layer,
                                                    std::span<const BlockId> blocks) const {
  const LayerPlace& place = layout_.layers()[static_cast<std::size_t>(layer)];
  return {layout_.shape().indexerKey,
          blocks_ + place.indexerKeys,
          static_cast<std::int64_t>(layout_.blockBytes()),
          place.entriesPerBlock,
          blocks};
}

kernels::EntryRing<std::byte> KvCache::window(std::int64_t layer, SlotId slot) const {
  return {layout_.shape().entry,
          slotMemory(slot) + layout_.layers()[static_cast<std::size_t>(layer)].window,
          layout_.windowCapacity()};
}

KvCache::RawRings KvCache::compressorRings(std::int64_t layer, SlotId slot) const {
  const CompressorPlace& place = layout_.layers()[static_cast<std::size_t>(layer)].compressor;
  return {rawRing(slot, place, place.kv), rawRing(slot, place, place.score)};
}

KvCache::RawRings KvCache::indexerRings(std::int64_t layer, SlotId slot) const {
  const CompressorPlace& place =
      layout_.layers()[static_cast<std::size_t>(layer)].indexerCompressor;
  return {rawRing(slot, place, place.kv), rawRing(slot, place, place.score)};
}

kernels::Matrix<float> KvCache::carriedStreams(SlotId slot) const {
  return {reinterpret_cast<float*>(slotMemory(slot) + layout_.carriedStreams()),
          layout_.carriedRows(),
          layout_.shape().streamWidth};
}

std::byte* KvCache::slotMemory(SlotId slot) const {
  return slots_ + static_cast<std::size_t>(slot) * layout_.slotBytes();
}

kernels::Matrix<float> KvCache::rawRing(SlotId slot,
                                        const CompressorPlace& place,
                                        std::size_t offset) const {
  return {reinterpret_cast<float*>(slotMemory(slot) + offset), place.capacity, place.width};
}

std::span<std::byte> KvCache::blockBytes(BlockId block) const {
  return {blocks_ + static_cast<std::size_t>(block) * layout_.blockBytes(), layout_.blockBytes()};
}

std::span<std::byte> KvCache::snapshotBytes(SnapshotId snapshot) const {
  return {snapshots_ + static_cast<std::size_t>(snapshot) * layout_.snapshotBytes(),
          layout_.snapshotBytes()};
}

// Operations
// ------------------------------------------------------------------------------------------------

Result<void> KvCache::apply(const CacheOperations& operations, DiskReplica* disk) {
  if (Result<void> possible = check(operations, disk); !possible) {
    return possible;
  }
  for (const SnapshotSave& order : operations.saves) {
    save(order);
  }
  if (disk != nullptr) {
    for (const DiskPiece& piece : operations.stores) {
      disk->store(piece.record, bytesOf(piece));
    }
  }
  for (const BlockId block : operations.discards) {
    discard(block);
  }
  for (const DiskPiece& piece : operations.fills) {
    disk->fill(piece.record, bytesOf(piece));
  }
  for (const BlockCopy& order : operations.copies) {
    std::ranges::copy(blockBytes(order.from), blockBytes(order.to).begin());
  }
  for (const SnapshotRestore& order : operations.restores) {
    restore(order);
  }
  return {};
}

bool KvCache::has(const DiskPiece& piece) const {
  const std::int32_t count =
      piece.record.kind == RecordKind::Block ? capacity_.blocks : capacity_.snapshots;
  return piece.id >= 0 && piece.id < count;
}

std::span<std::byte> KvCache::bytesOf(const DiskPiece& piece) const {
  return piece.record.kind == RecordKind::Block ? blockBytes(piece.id) : snapshotBytes(piece.id);
}

Result<void> KvCache::check(const CacheOperations& operations, const DiskReplica* disk) const {
  const auto within = [](std::int32_t id, std::int32_t count) { return id >= 0 && id < count; };
  const auto wrong = [](const std::string& what) {
    return Error{ErrorCode::Internal,
                 what,
                 "Restart the engine; if it happens again, report both ranks' logs."};
  };
  for (const SnapshotSave& save : operations.saves) {
    if (!within(save.slot, capacity_.sequences) || !within(save.snapshot, capacity_.snapshots) ||
        save.position < 1 || save.position % kSnapshotAlignment != 0) {
      return wrong(fmt::format("cannot keep slot {} at {} tokens as snapshot {}",
                               save.slot,
                               save.position,
                               save.snapshot));
    }
    const CarriedRows& carried = carried_[static_cast<std::size_t>(save.slot)];
    const std::int64_t end = carried.position + static_cast<std::int64_t>(carried.tokens.size());
    if (layout_.shape().streamWidth > 0 &&
        (save.position <= carried.position || save.position > end)) {
      return wrong(fmt::format("slot {} no longer has what it had at {} tokens, only {} to {}",
                               save.slot,
                               save.position,
                               carried.position + 1,
                               end));
    }
  }
  for (const DiskPiece& piece : operations.stores) {
    if (!has(piece)) {
      return wrong(fmt::format("cannot store number {} as {}", piece.id, recordName(piece.record)));
    }
  }
  for (const DiskPiece& piece : operations.fills) {
    if (!has(piece) || disk == nullptr || !disk->fetched(piece.record)) {
      return wrong(fmt::format("cannot fill number {} with {}, which this rank has not fetched",
                               piece.id,
                               recordName(piece.record)));
    }
  }
  for (const BlockId block : operations.discards) {
    if (!within(block, capacity_.blocks)) {
      return wrong(fmt::format("cannot give back block {} of {}", block, capacity_.blocks));
    }
  }
  for (const BlockCopy& copy : operations.copies) {
    if (!within(copy.from, capacity_.blocks) || !within(copy.to, capacity_.blocks)) {
      return wrong(
          fmt::format("cannot copy block {} to {} of {}", copy.from, copy.to, capacity_.blocks));
    }
  }
  for (const SnapshotRestore& restore : operations.restores) {
    if (!within(restore.slot, capacity_.sequences) ||
        !within(restore.snapshot, capacity_.snapshots) || restore.position < 1) {
      return wrong(fmt::format("cannot restore snapshot {} of {} tokens to slot {}",
                               restore.snapshot,
                               restore.position,
                               restore.slot));
    }
  }
  return {};
}

void KvCache::discard(BlockId block) const {
  // Whole pages only: what a neighbour shares stays.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::byte* const first = blockBytes(block).data();
  // The cache's memory begins with a page.
  const auto begin = static_cast<std::size_t>(first - memory_.get());
  const std::size_t end = (begin + layout_.blockBytes()) / page * page;
  const std::size_t whole = (begin + page - 1) / page * page;
  if (whole < end) {
    // It is only advice: memory that stays is memory that still belongs to the cache.
    ::madvise(memory_.get() + whole, end - whole, MADV_DONTNEED);
  }
}

void KvCache::save(const SnapshotSave& order) {
  std::byte* const kept = snapshotBytes(order.snapshot).data();
  const auto entryBytes = static_cast<std::size_t>(layout_.shape().entry.bytes());
  for (std::size_t i = 0; i < layout_.layers().size(); ++i) {
    const LayerPlace& place = layout_.layers()[i];
    const kernels::EntryRing<std::byte> ring = window(static_cast<std::int64_t>(i), order.slot);
    copyNewest(kept + place.keptWindow,
               order.position,
               layout_.shape().windowTokens,
               entryBytes,
               [&](std::int64_t p) { return ring.row(p); });
    for (const CompressorPlace* compressor : {&place.compressor, &place.indexerCompressor}) {
      for (const auto& [from, to] : {std::pair(compressor->kv, compressor->keptKv),
                                     std::pair(compressor->score, compressor->keptScore)}) {
        const kernels::Matrix<float> rows = rawRing(order.slot, *compressor, from);
        copyNewest(kept + to,
                   order.position,
                   compressor->keptRows,
                   static_cast<std::size_t>(compressor->width) * sizeof(float),
                   [&](std::int64_t p) { return rows.row(p % rows.rows); });
      }
    }
  }
  if (layout_.shape().streamWidth > 0) {
    const std::int64_t row = order.position - 1 - carried(order.slot).position;
    std::memcpy(kept + layout_.keptStream(),
                carriedStreams(order.slot).row(row),
                static_cast<std::size_t>(layout_.shape().streamWidth) * sizeof(float));
  }
}

void KvCache::restore(const SnapshotRestore& order) {
  const std::byte* const kept = snapshotBytes(order.snapshot).data();
  const auto entryBytes = static_cast<std::size_t>(layout_.shape().entry.bytes());
  const auto bringBack =
      [&](const std::byte* from, std::int64_t count, std::size_t bytes, const auto& row) {
        for (std::int64_t p = std::max<std::int64_t>(0, order.position - count); p < order.position;
             ++p) {
          std::memcpy(row(p), from, bytes);
          from += bytes;
        }
      };
  for (std::size_t i = 0; i < layout_.layers().size(); ++i) {
    const LayerPlace& place = layout_.layers()[i];
    const kernels::EntryRing<std::byte> ring = window(static_cast<std::int64_t>(i), order.slot);
    bringBack(kept + place.keptWindow,
              layout_.shape().windowTokens,
              entryBytes,
              [&](std::int64_t p) { return ring.row(p); });
    for (const CompressorPlace* compressor : {&place.compressor, &place.indexerCompressor}) {
      for (const auto& [to, from] : {std::pair(compressor->kv, compressor->keptKv),
                                     std::pair(compressor->score, compressor->keptScore)}) {
        const kernels::Matrix<float> rows = rawRing(order.slot, *compressor, to);
        bringBack(kept + from,
                  compressor->keptRows,
                  static_cast<std::size_t>(compressor->width) * sizeof(float),
                  [&](std::int64_t p) { return rows.row(p % rows.rows); });
      }
    }
  }
  CarriedRows& rows = carried(order.slot);
  rows = {};
  if (layout_.shape().streamWidth > 0) {
    // Its token is never asked for: the next chunk's first token follows it.
    rows = {order.position - 1, {TokenId{0}}};
    std::memcpy(carriedStreams(order.slot).row(0),
                kept + layout_.keptStream(),
                static_cast<std::size_t>(layout_.shape().streamWidth) * sizeof(float));
  }
}

}  // namespace tandem::kvcache
