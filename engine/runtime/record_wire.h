// SPDX-License-Identifier: GPL-3.0-or-later
// How the name of a disk record lies in a message between the ranks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/wire.h"
#include "engine/kvcache/disk_record.h"

namespace tandem::runtime {

inline constexpr std::size_t kRecordIdBytes = 17;

inline void writeRecord(ByteWriter& writer, const kvcache::RecordId& record) {
  writer.number(static_cast<std::uint8_t>(record.kind));
  writer.raw(std::as_bytes(std::span(record.key.bytes)));
}

/// A kind that there is not reads as an overrun.
[[nodiscard]] inline kvcache::RecordId readRecord(ByteReader& reader) {
  kvcache::RecordId record;
  const auto kind = reader.number<std::uint8_t>();
  record.kind = static_cast<kvcache::RecordKind>(kind);
  const std::span<const std::byte> key = reader.raw(record.key.bytes.size());
  std::ranges::transform(key, record.key.bytes.begin(), [](std::byte byte) {
    return std::to_integer<std::uint8_t>(byte);
  });
  if (record.kind != kvcache::RecordKind::Block && record.kind != kvcache::RecordKind::Snapshot) {
    (void)reader.raw(reader.remaining() + 1);
  }
  return record;
}

}  // namespace tandem::runtime
