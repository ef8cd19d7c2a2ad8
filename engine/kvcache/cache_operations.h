// SPDX-License-Identifier: GPL-3.0-or-later
// The copies that a step's plan orders on every rank's cache before its forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kvcache/cache_ids.h"
#include "engine/kvcache/disk_record.h"

namespace tandem::kvcache {

/// `position` was passed by the last step of the slot's sequence, which committed at most as many
/// tokens beyond it as a step may draft: the rows before it are all there.
struct SnapshotSave {
  SlotId slot = 0;
  std::int64_t position = 0;
  SnapshotId snapshot = 0;

  friend bool operator==(const SnapshotSave&, const SnapshotSave&) = default;
};

struct BlockCopy {
  BlockId from = 0;
  BlockId to = 0;

  friend bool operator==(const BlockCopy&, const BlockCopy&) = default;
};

/// The slot becomes that of a sequence of `position` committed tokens.
struct SnapshotRestore {
  SnapshotId snapshot = 0;
  SlotId slot = 0;
  std::int64_t position = 0;

  friend bool operator==(const SnapshotRestore&, const SnapshotRestore&) = default;
};

/// A block or a snapshot, and the record that has the same on each rank's disk.
struct DiskPiece {
  RecordId record;
  std::int32_t id = 0;  // a BlockId or a SnapshotId, as the record's kind says

  friend bool operator==(const DiskPiece&, const DiskPiece&) = default;
};

/// Carried out in this order, and before any slot is reset for a sequence that begins, so that a
/// snapshot saved here can be restored here, and a slot or block that is given away was read
/// before. What is stored was there before the plan or is saved by it; what is filled can be copied
/// and restored by the same plan. Within a list the order means nothing: nothing is written twice
/// or read and written, so copies may run side by side.
struct CacheOperations {
  std::vector<SnapshotSave> saves;
  std::vector<DiskPiece> stores;  // to be kept on the disk as well
  std::vector<BlockId> discards;  // free blocks whose memory goes back to the host
  std::vector<DiskPiece> fills;   // with what every rank has fetched from its disk
  std::vector<BlockCopy> copies;
  std::vector<SnapshotRestore> restores;

  [[nodiscard]] bool empty() const {
    return saves.empty() && stores.empty() && discards.empty() && fills.empty() && copies.empty() &&
           restores.empty();
  }

  friend bool operator==(const CacheOperations&, const CacheOperations&) = default;
};

}  // namespace tandem::kvcache
