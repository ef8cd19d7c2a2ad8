// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kvcache/fake_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace tandem::kvcache {

namespace {

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

/// The cell of the last of `tokens`, given that of the one before.
std::uint64_t nextCell(std::uint64_t before, TokenId token) {
  std::uint64_t mixed = (before ^ static_cast<std::uint64_t>(token + 1)) * 0x9e3779b97f4a7c15U;
  return mixed ^ (mixed >> 29);
}

template <typename Operation>
std::vector<Operation> shuffled(std::vector<Operation> operations, std::mt19937& random) {
  std::shuffle(operations.begin(), operations.end(), random);
  return operations;
}

}  // namespace

FakeCache::FakeCache(const CacheCapacity& capacity, std::int64_t maxDrafts, std::uint32_t seed)
    : random_(seed),
      slotRows_(kSnapshotAlignment + maxDrafts),
      slots_(at(capacity.sequences), Rows(at(slotRows_))),
      snapshots_(at(capacity.snapshots), Rows(at(kSnapshotAlignment))),
      snapshotPositions_(at(capacity.snapshots), -1),
      blocks_(at(capacity.blocks), std::vector<std::uint64_t>(at(kBlockTokens))) {}

void FakeCache::apply(const CacheOperations& operations) {
  checkDisjoint(operations);
  for (const SnapshotSave& save : shuffled(operations.saves, random_)) {
    snapshotPositions_[at(save.snapshot)] = save.position;
    for (std::int64_t i = 0; i < kSnapshotAlignment; ++i) {
      const std::int64_t position = save.position - kSnapshotAlignment + i;
      if (row(save.slot, position).position != position) {
        fail(fmt::format("slot {} is saved at {}, but its row {} is gone",
                         save.slot,
                         save.position,
                         position));
      }
      snapshots_[at(save.snapshot)][at(i)] = row(save.slot, position);
    }
  }
  for (const DiskPiece& piece : shuffled(operations.stores, random_)) {
    store(piece);
  }
  for (const BlockId block : operations.discards) {
    blocks_[at(block)].assign(at(kBlockTokens), 0);
  }
  for (const DiskPiece& piece : shuffled(operations.fills, random_)) {
    fill(piece);
  }
  for (const BlockCopy& copy : shuffled(operations.copies, random_)) {
    blocks_[at(copy.to)] = blocks_[at(copy.from)];
  }
  for (const SnapshotRestore& restore : shuffled(operations.restores, random_)) {
    reset(restore.slot);
    if (snapshotPositions_[at(restore.snapshot)] != restore.position) {
      fail(fmt::format("snapshot {} is of position {}, but restored as {}",
                       restore.snapshot,
                       snapshotPositions_[at(restore.snapshot)],
                       restore.position));
    }
    for (const Row& kept : snapshots_[at(restore.snapshot)]) {
      row(restore.slot, kept.position) = kept;
    }
  }
}

void FakeCache::store(const DiskPiece& piece) {
  Record record;
  if (piece.record.kind == RecordKind::Block) {
    record.cells = blocks_[at(piece.id)];
  } else {
    record.rows = snapshots_[at(piece.id)];
    record.position = snapshotPositions_[at(piece.id)];
    const auto earlier = disk_.find(piece.record);
    const auto same = [](const Row& a, const Row& b) {
      return a.position == b.position && a.cell == b.cell;
    };
    if (earlier != disk_.end() &&
        (earlier->second.position != record.position ||
         !std::equal(record.rows.begin(), record.rows.end(), earlier->second.rows.begin(), same))) {
      fail(fmt::format("snapshot {} is stored as one of {} tokens that was another",
                       piece.id,
                       earlier->second.position));
    }
  }
  disk_[piece.record] = std::move(record);
}

void FakeCache::fill(const DiskPiece& piece) {
  const auto found = disk_.find(piece.record);
  if (found == disk_.end()) {
    fail(fmt::format("number {} is filled with what is not on the disk", piece.id));
  } else if (piece.record.kind == RecordKind::Block) {
    blocks_[at(piece.id)] = found->second.cells;
  } else {
    snapshots_[at(piece.id)] = found->second.rows;
    snapshotPositions_[at(piece.id)] = found->second.position;
  }
}

void FakeCache::reset(SlotId slot) {
  slots_[at(slot)].assign(at(slotRows_), Row{});
}

void FakeCache::step(SlotId slot,
                     std::span<const BlockId> blocks,
                     std::span<const TokenId> tokens,
                     std::int64_t from,
                     std::int64_t to,
                     std::int64_t rejected) {
  checkSlot(slot, tokens, from);
  checkBlocks(blocks, tokens, from);
  std::uint64_t value = 0;
  for (std::int64_t position = 0; position < to; ++position) {
    value = nextCell(value, tokens[at(position)]);
    if (position >= from) {
      row(slot, position) = {position, value};
      cell(blocks, position) = value;
    }
  }
  for (std::int64_t position = to; position < to + rejected; ++position) {
    row(slot, position) = {position, random_()};
    cell(blocks, position) = random_();
  }
}

void FakeCache::checkBlocks(std::span<const BlockId> blocks,
                            std::span<const TokenId> tokens,
                            std::int64_t count) {
  std::uint64_t value = 0;
  for (std::int64_t position = 0; position < count; ++position) {
    value = nextCell(value, tokens[at(position)]);
    if (cell(blocks, position) != value) {
      fail(fmt::format("block {} holds something else at token {} of {}",
                       blocks[at(position / kBlockTokens)],
                       position,
                       count));
      return;
    }
  }
}

void FakeCache::checkDisjoint(const CacheOperations& operations) {
  std::set<SnapshotId> saved;
  for (const SnapshotSave& save : operations.saves) {
    if (!saved.insert(save.snapshot).second) {
      fail(fmt::format("snapshot {} is written twice", save.snapshot));
    }
  }
  std::set<BlockId> filled;
  for (const DiskPiece& piece : operations.fills) {
    const bool first = piece.record.kind == RecordKind::Block ? filled.insert(piece.id).second
                                                              : saved.insert(piece.id).second;
    if (!first) {
      fail(fmt::format("number {} is written twice, once from the disk", piece.id));
    }
  }
  std::set<BlockId> written;
  for (const BlockCopy& copy : operations.copies) {
    if (!written.insert(copy.to).second) {
      fail(fmt::format("block {} is written twice", copy.to));
    }
  }
  for (const BlockCopy& copy : operations.copies) {
    if (written.count(copy.from) != 0) {
      fail(fmt::format("block {} is read and written", copy.from));
    }
  }
  std::set<SlotId> restored;
  for (const SnapshotRestore& restore : operations.restores) {
    if (!restored.insert(restore.slot).second) {
      fail(fmt::format("slot {} is written twice", restore.slot));
    }
  }
}

void FakeCache::checkSlot(SlotId slot, std::span<const TokenId> tokens, std::int64_t count) {
  std::uint64_t value = 0;
  for (std::int64_t position = 0; position < count; ++position) {
    value = nextCell(value, tokens[at(position)]);
    const Row& found = row(slot, position);
    if (position >= count - kSnapshotAlignment &&
        (found.position != position || found.cell != value)) {
      fail(fmt::format("slot {} holds something else at token {} of {}", slot, position, count));
      return;
    }
  }
}

FakeCache::Row& FakeCache::row(SlotId slot, std::int64_t position) {
  return slots_[at(slot)][at(position % slotRows_)];
}

std::uint64_t& FakeCache::cell(std::span<const BlockId> blocks, std::int64_t position) {
  return blocks_[at(blocks[at(position / kBlockTokens)])][at(position % kBlockTokens)];
}

void FakeCache::fail(const std::string& problem) {
  if (problem_.empty()) {
    problem_ = problem;
  }
}

}  // namespace tandem::kvcache
