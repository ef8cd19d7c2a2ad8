// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/step_plan.h"

#include <utility>

#include "engine/base/wire.h"

namespace tandem::runtime {

namespace {

/// Reads a count and then that many elements; a count larger than the rest of the message could
/// hold reads as an overrun instead of reserving memory for it.
template <typename Element, typename Read>
std::vector<Element> readList(ByteReader& reader, std::size_t minimumBytes, Read read) {
  const auto count = reader.number<std::uint32_t>();
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

}  // namespace

std::vector<std::byte> encode(const StepPlan& plan) {
  ByteWriter writer;
  const auto count = [&writer](std::size_t size) {
    writer.number(static_cast<std::uint32_t>(size));
  };
  writer.number(plan.epoch);
  writer.number(plan.step);
  count(plan.operations.saves.size());
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
  // Braces keep the order of the reads.
  plan.operations.saves = readList<kvcache::SnapshotSave>(reader, 16, [&] {
    return kvcache::SnapshotSave{id(), position(), id()};
  });
  plan.operations.discards = readList<kvcache::BlockId>(reader, sizeof(kvcache::BlockId), id);
  plan.operations.copies = readList<kvcache::BlockCopy>(reader, 8, [&] {
    return kvcache::BlockCopy{id(), id()};
  });
  plan.operations.restores = readList<kvcache::SnapshotRestore>(reader, 16, [&] {
    return kvcache::SnapshotRestore{id(), id(), position()};
  });
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
  return plan;
}

}  // namespace tandem::runtime
