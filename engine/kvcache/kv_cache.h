// SPDX-License-Identifier: GPL-3.0-or-later
// The memory of one rank's caches: blocks of compressed entries, slots of running sequences, and
// snapshots of slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kernels/cache_rows.h"
#include "engine/kernels/matrix.h"
#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/cache_layout.h"
#include "engine/kvcache/cache_operations.h"
#include "engine/kvcache/disk_replica.h"

namespace tandem::kvcache {

/// The rows of a slot's last step that its next one may need: the streams that left the last layer,
/// for the MTP module, and which tokens they stand for.
struct CarriedRows {
  std::int64_t position = 0;    // of the first row
  std::vector<TokenId> tokens;  // one a row; empty: none
};

/// Knows no lengths: which positions count is in each step's chunks. Engine thread of its rank.
class KvCache {
 public:
  /// Fails with OutOfMemory, and says how much was asked for.
  static Result<std::unique_ptr<KvCache>> create(const CacheShape& shape,
                                                 const CacheCapacity& capacity);

  [[nodiscard]] const CacheLayout& layout() const { return layout_; }
  [[nodiscard]] const CacheCapacity& capacity() const { return capacity_; }
  [[nodiscard]] std::uint64_t bytes() const { return memoryBytes_; }

  [[nodiscard]] kernels::EntryPages<std::byte> entries(std::int64_t layer,
                                                       std::span<const BlockId> blocks) const;
  [[nodiscard]] kernels::EntryPages<std::byte> indexerKeys(std::int64_t layer,
                                                           std::span<const BlockId> blocks) const;
  [[nodiscard]] kernels::EntryRing<std::byte> window(std::int64_t layer, SlotId slot) const;

  struct RawRings {
    kernels::Matrix<float> kv;
    kernels::Matrix<float> score;
  };
  [[nodiscard]] RawRings compressorRings(std::int64_t layer, SlotId slot) const;
  [[nodiscard]] RawRings indexerRings(std::int64_t layer, SlotId slot) const;

  /// [layout().carriedRows(), streamWidth]
  [[nodiscard]] kernels::Matrix<float> carriedStreams(SlotId slot) const;
  [[nodiscard]] CarriedRows& carried(SlotId slot) {
    return carried_[static_cast<std::size_t>(slot)];
  }

  /// Carries out the operations of a plan in their order.
  /// Fails with Internal, before anything was changed, when a number is out of range or a snapshot
  /// is asked of a position whose rows are gone, or a fill of what was not fetched.
  ///
  /// disk   where stores go and fills come from; null: nothing is stored, and a fill fails
  Result<void> apply(const CacheOperations& operations, DiskReplica* disk = nullptr);

  /// The bytes of a block or a snapshot, to keep them elsewhere and bring them back.
  [[nodiscard]] std::span<std::byte> blockBytes(BlockId block) const;
  [[nodiscard]] std::span<std::byte> snapshotBytes(SnapshotId snapshot) const;

 private:
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(std::byte* memory) const;
  };

  KvCache(const CacheShape& shape, const CacheCapacity& capacity);

  [[nodiscard]] Result<void> check(const CacheOperations& operations,
                                   const DiskReplica* disk) const;
  [[nodiscard]] bool has(const DiskPiece& piece) const;
  [[nodiscard]] std::span<std::byte> bytesOf(const DiskPiece& piece) const;
  [[nodiscard]] std::byte* slotMemory(SlotId slot) const;
  [[nodiscard]] kernels::Matrix<float> rawRing(SlotId slot,
                                               const CompressorPlace& place,
                                               std::size_t offset) const;
  void discard(BlockId block) const;
  void save(const SnapshotSave& order);
  void restore(const SnapshotRestore& order);

  CacheLayout layout_;
  CacheCapacity capacity_;
  std::uint64_t memoryBytes_ = 0;
  std::unique_ptr<std::byte, Unmap> memory_{nullptr, Unmap{}};
  std::byte* blocks_ = nullptr;
  std::byte* slots_ = nullptr;
  std::byte* snapshots_ = nullptr;
  std::vector<CarriedRows> carried_;  // by slot
};

}  // namespace tandem::kvcache
