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
  writer.number(plan.epoch);
  writer.number(plan.step);
  writer.number(static_cast<std::uint32_t>(plan.closed.size()));
  for (const SequenceSlot slot : plan.closed) {
    writer.number(slot);
  }
  writer.number(static_cast<std::uint32_t>(plan.opened.size()));
  for (const PlannedSequence& sequence : plan.opened) {
    writer.number(sequence.slot);
    writer.number(sequence.maxTokens);
  }
  writer.number(static_cast<std::uint32_t>(plan.chunks.size()));
  for (const PlannedChunk& chunk : plan.chunks) {
    writer.number(chunk.slot);
    writer.number(chunk.logitRows);
    writer.number(static_cast<std::uint32_t>(chunk.tokens.size()));
    for (const TokenId token : chunk.tokens) {
      writer.number(token);
    }
  }
  return std::move(writer).take();
}

Result<StepPlan> decodeStepPlan(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  StepPlan plan;
  plan.epoch = reader.number<std::uint64_t>();
  plan.step = reader.number<std::uint64_t>();
  plan.closed = readList<SequenceSlot>(reader, sizeof(SequenceSlot), [&] {
    return reader.number<SequenceSlot>();
  });
  plan.opened = readList<PlannedSequence>(reader, 12, [&] {
    PlannedSequence sequence;
    sequence.slot = reader.number<SequenceSlot>();
    sequence.maxTokens = reader.number<std::int64_t>();
    return sequence;
  });
  plan.chunks = readList<PlannedChunk>(reader, 12, [&] {
    PlannedChunk chunk;
    chunk.slot = reader.number<SequenceSlot>();
    chunk.logitRows = reader.number<std::int32_t>();
    chunk.tokens =
        readList<TokenId>(reader, sizeof(TokenId), [&] { return reader.number<TokenId>(); });
    return chunk;
  });
  if (const Result<void> whole = reader.finish("step plan"); !whole) {
    return whole.error();
  }
  return plan;
}

}  // namespace tandem::runtime
