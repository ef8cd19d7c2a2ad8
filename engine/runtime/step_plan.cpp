// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/step_plan.h"

#include <utility>

#include "engine/base/wire.h"
#include "engine/runtime/record_wire.h"

namespace tandem::runtime {

namespace {

/// Reads a count and then that many elements; a count larger than the rest of the message could
/// hold reads as an overrun instead of reserving memory for it.
template <typename Element, typename Read>
std::vector<Element> readElements(ByteReader& reader,
                                  std::uint32_t count,
                                  std::size_t minimumBytes,
                                  Read read) {
  std::vector<Element> list;
  if (count > reader.remaining() / minimumBytes) {
    (void)reader.raw(reader.remaining() + 1);
    return list;
  }
  list.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    list.push_back(read());
  }
  return list;
}

template <typename Element, typename Read>
std::vector<Element> readList(ByteReader& reader, std::size_t minimumBytes, Read read) {
  const auto count = reader.number<std::uint32_t>();
  return readElements<Element>(reader, count, minimumBytes, std::move(read));
}

// In the number of saves: the lists of the disk are there too. Few plans have them.
constexpr std::uint32_t kDiskLists = 1U << 31U;

void writePieces(ByteWriter& writer, std::span<const kvcache::DiskPiece> pieces) {
  writer.number(static_cast<std::uint32_t>(pieces.size()));
  for (const kvcache::DiskPiece& piece : pieces) {
    writeRecord(writer, piece.record);
    writer.number(piece.id);
  }
}

std::vector<kvcache::DiskPiece> readPieces(ByteReader& reader) {
  return readList<kvcache::DiskPiece>(reader, kRecordIdBytes + 4, [&] {
    // Braces keep the order of the reads.
    return kvcache::DiskPiece{readRecord(reader), reader.number<std::int32_t>()};
  });
}

}  // namespace

std::vector<std::byte> encode(const StepPlan& plan) {
  ByteWriter writer;
  const auto count = [&writer](std::size_t size) {
    writer.number(static_cast<std::uint32_t>(size));
  };
  writer.number(plan.epoch);
  writer.number(plan.step);
  const bool disk = !plan.operations.stores.empty() || !plan.operations.fills.empty();
  writer.number(static_cast<std::uint32_t>(plan.operations.saves.size()) | (disk ? kDiskLists : 0));
  for (const kvcache::SnapshotSave& save : plan.operations.saves) {
    writer.number(save.slot);
    writer.number(save.position);
    writer.number(save.snapshot);
  }
  count(plan.operations.discards.size());
  for (const kvcache::BlockId block : plan.operations.discards) {
    writer.number(block);
  }
  count(plan.operations.copies.size());
  for (const kvcache::BlockCopy& copy : plan.operations.copies) {
    writer.number(copy.from);
    writer.number(copy.to);
  }
  count(plan.operations.restores.size());
  for (const kvcache::SnapshotRestore& restore : plan.operations.restores) {
    writer.number(restore.snapshot);
    writer.number(restore.slot);
    writer.number(restore.position);
  }
  if (disk) {
    writePieces(writer, plan.operations.stores);
    writePieces(writer, plan.operations.fills);
  }
  count(plan.chunks.size());
  for (const PlannedChunk& chunk : plan.chunks) {
    writer.number(chunk.slot);
    writer.number(chunk.position);
    writer.number(chunk.logitRows);
    writer.number(chunk.drafts);
    count(chunk.tokens.size());
    for (const TokenId token : chunk.tokens) {
      writer.number(token);
    }
    writer.number(chunk.keptBlocks);
    count(chunk.newBlocks.size());
    for (const kvcache::BlockId block : chunk.newBlocks) {
      writer.number(block);
    }
  }
  return std::move(writer).take();
}

Result<StepPlan> decodeStepPlan(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const auto id = [&reader] { return reader.number<std::int32_t>(); };
  const auto position = [&reader] { return reader.number<std::int64_t>(); };
  StepPlan plan;
  plan.epoch = reader.number<std::uint64_t>();
  plan.step = reader.number<std::uint64_t>();
  const auto saves = reader.number<std::uint32_t>();
  const bool disk = (saves & kDiskLists) != 0;
  // Braces keep the order of the reads.
  plan.operations.saves = readElements<kvcache::SnapshotSave>(reader, saves & ~kDiskLists, 16, [&] {
    return kvcache::SnapshotSave{id(), position(), id()};
  });
  plan.operations.discards = readList<kvcache::BlockId>(reader, sizeof(kvcache::BlockId), id);
  plan.operations.copies = readList<kvcache::BlockCopy>(reader, 8, [&] {
    return kvcache::BlockCopy{id(), id()};
  });
  plan.operations.restores = readList<kvcache::SnapshotRestore>(reader, 16, [&] {
    return kvcache::SnapshotRestore{id(), id(), position()};
  });
  if (disk) {
    plan.operations.stores = readPieces(reader);
    plan.operations.fills = readPieces(reader);
  }
  plan.chunks = readList<PlannedChunk>(reader, 32, [&] {
    PlannedChunk chunk;
    chunk.slot = id();
    chunk.position = position();
    chunk.logitRows = id();
    chunk.drafts = id();
    chunk.tokens =
        readList<TokenId>(reader, sizeof(TokenId), [&] { return reader.number<TokenId>(); });
    chunk.keptBlocks = id();
    chunk.newBlocks = readList<kvcache::BlockId>(reader, sizeof(kvcache::BlockId), id);
    return chunk;
  });
  if (const Result<void> whole = reader.finish("step plan"); !whole) {
    return whole.error();
  }
  if (disk && plan.operations.stores.empty() && plan.operations.fills.empty()) {
    return Error{ErrorCode::DataCorrupt, "the step plan announces what it does not have", ""};
  }
  return plan;
}

}  // namespace tandem::runtime
