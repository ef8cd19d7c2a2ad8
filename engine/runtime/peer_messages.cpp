// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/peer_messages.h"

#include <fmt/core.h>

#include <utility>

#include "engine/base/wire.h"
#include "engine/runtime/record_wire.h"

namespace tandem::runtime {

namespace {

template <typename Enum>
void writeEnum(ByteWriter& writer, Enum value) {
  writer.number(static_cast<std::uint8_t>(value));
}

/// Reads an enumerator in [0, last]; a larger number is remembered in `valid`.
template <typename Enum>
Enum readEnum(ByteReader& reader, Enum last, bool& valid) {
  const auto number = reader.number<std::uint8_t>();
  if (number > static_cast<std::uint8_t>(last)) {
    valid = false;
    return Enum{};
  }
  return static_cast<Enum>(number);
}

template <typename T>
Result<T> finished(const ByteReader& reader, bool valid, const char* name, T value) {
  if (const Result<void> whole = reader.finish(name); !whole) {
    return whole.error();
  }
  if (!valid) {
    return Error{ErrorCode::DataCorrupt,
                 fmt::format("a {} message holds a number without a meaning", name),
                 "Run the same version of Tandem on both nodes."};
  }
  return value;
}

}  // namespace

std::vector<std::byte> encode(const EpochHello& hello) {
  ByteWriter writer;
  writer.number(hello.ranks);
  writeEnum(writer, hello.numerics);
  writeEnum(writer, hello.backend);
  writer.number(hello.threads);
  writer.number(hello.contextTokens);
  writer.number(hello.prefillChunkTokens);
  writer.number(hello.maxSequences);
  writer.text(hello.modelFingerprint);
  return std::move(writer).take();
}

Result<EpochHello> decodeHello(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  bool valid = true;
  EpochHello hello;
  hello.ranks = reader.number<std::int32_t>();
  hello.numerics = readEnum(reader, api::Numerics::Act, valid);
  hello.backend = readEnum(reader, api::BackendChoice::Cuda, valid);
  hello.threads = reader.number<std::int32_t>();
  hello.contextTokens = reader.number<std::int64_t>();
  hello.prefillChunkTokens = reader.number<std::int32_t>();
  hello.maxSequences = reader.number<std::int32_t>();
  hello.modelFingerprint = reader.text();
  return finished(reader, valid, "hello", hello);
}

std::vector<std::byte> encode(const api::PhaseEvent& event) {
  ByteWriter writer;
  writeEnum(writer, event.phase);
  writer.number(event.rank);
  writeEnum(writer, event.kind);
  writer.number(event.monotonicNs);
  writer.number(event.wallMs);
  writer.number(event.bytesDone);
  writer.number(event.bytesTotal);
  writer.text(event.detail);
  return std::move(writer).take();
}

Result<api::PhaseEvent> decodePhase(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  bool valid = true;
  api::PhaseEvent event;
  event.phase = readEnum(reader, api::Phase::Api, valid);
  event.rank = reader.number<int>();
  event.kind = readEnum(reader, api::PhaseEventKind::Skipped, valid);
  event.monotonicNs = reader.number<std::int64_t>();
  event.wallMs = reader.number<std::int64_t>();
  event.bytesDone = reader.number<std::uint64_t>();
  event.bytesTotal = reader.number<std::uint64_t>();
  event.detail = reader.text();
  return finished(reader, valid, "phase", event);
}

std::vector<std::byte> encode(const LogRecord& record) {
  ByteWriter writer;
  writer.number(record.wallMs);
  writer.number(record.rank);
  writeEnum(writer, record.level);
  writer.text(record.module);
  writer.text(record.request);
  writer.text(record.text);
  return std::move(writer).take();
}

Result<LogRecord> decodeLog(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  bool valid = true;
  LogRecord record;
  record.wallMs = reader.number<std::int64_t>();
  record.rank = reader.number<int>();
  record.level = readEnum(reader, LogLevel::Error, valid);
  record.module = reader.text();
  record.request = reader.text();
  record.text = reader.text();
  return finished(reader, valid, "log", record);
}

std::vector<std::byte> encode(const api::RankMemory& memory) {
  ByteWriter writer;
  writer.number(memory.rank);
  writer.number(memory.weightBytes);
  writer.number(memory.kvBytes);
  writer.number(memory.processBytes);
  writer.number(memory.hostTotalBytes);
  writer.number(memory.hostAvailableBytes);
  return std::move(writer).take();
}

Result<api::RankMemory> decodeMemory(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  api::RankMemory memory;
  memory.rank = reader.number<int>();
  memory.weightBytes = reader.number<std::uint64_t>();
  memory.kvBytes = reader.number<std::uint64_t>();
  memory.processBytes = reader.number<std::uint64_t>();
  memory.hostTotalBytes = reader.number<std::uint64_t>();
  memory.hostAvailableBytes = reader.number<std::uint64_t>();
  return finished(reader, true, "memory", memory);
}

std::vector<std::byte> encode(const model::CacheSettings& settings) {
  ByteWriter writer;
  writer.number(settings.capacity.blocks);
  writer.number(settings.capacity.sequences);
  writer.number(settings.capacity.snapshots);
  writer.number(static_cast<std::uint8_t>(settings.mtp ? 1 : 0));
  writer.number(settings.maxDrafts);
  return std::move(writer).take();
}

Result<model::CacheSettings> decodeCacheSettings(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  model::CacheSettings settings;
  settings.capacity.blocks = reader.number<std::int32_t>();
  settings.capacity.sequences = reader.number<std::int32_t>();
  settings.capacity.snapshots = reader.number<std::int32_t>();
  const auto mtp = reader.number<std::uint8_t>();
  settings.mtp = mtp == 1;
  settings.maxDrafts = reader.number<std::int64_t>();
  const bool valid = settings.capacity.blocks >= 0 && settings.capacity.sequences >= 0 &&
                     settings.capacity.snapshots >= 0 && mtp <= 1 && settings.maxDrafts >= 0;
  return finished(reader, valid, "cache", settings);
}

std::vector<std::byte> encode(const FetchOrder& order) {
  ByteWriter writer;
  writer.number(order.ticket);
  writer.number(static_cast<std::uint32_t>(order.records.size()));
  for (const kvcache::RecordId& record : order.records) {
    writeRecord(writer, record);
  }
  return std::move(writer).take();
}

Result<FetchOrder> decodeFetchOrder(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  FetchOrder order;
  order.ticket = reader.number<std::uint64_t>();
  const auto count = reader.number<std::uint32_t>();
  const bool possible = count <= reader.remaining() / kRecordIdBytes;
  for (std::uint32_t i = 0; possible && i < count; ++i) {
    order.records.push_back(readRecord(reader));
  }
  return finished(reader, possible, "fetch", std::move(order));
}

std::vector<std::byte> encode(const kvcache::FetchOutcome& outcome) {
  ByteWriter writer;
  writer.number(outcome.ticket);
  writer.text(outcome.reason);
  writer.flag(outcome.missing.has_value());
  if (outcome.missing) {
    writeRecord(writer, *outcome.missing);
  }
  return std::move(writer).take();
}

Result<kvcache::FetchOutcome> decodeFetchOutcome(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  kvcache::FetchOutcome outcome;
  outcome.ticket = reader.number<std::uint64_t>();
  outcome.reason = reader.text();
  const auto has = reader.number<std::uint8_t>();
  if (has == 1) {
    outcome.missing = readRecord(reader);
  }
  return finished(reader, has <= 1, "fetched", std::move(outcome));
}

}  // namespace tandem::runtime
