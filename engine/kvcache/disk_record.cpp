// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/disk_record.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "engine/base/wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tandem::kvcache {

namespace {

constexpr std::string_view kMagic = "TDMKVREC";
constexpr std::string_view kSuffix = ".kv";
constexpr std::string_view kPartSuffix = ".part";
constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::array<std::pair<RecordKind, std::string_view>, 2> kPrefixes{
    {{RecordKind::Block, "block-"}, {RecordKind::Snapshot, "snapshot-"}}};

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kModelAt = 12;
constexpr std::size_t kNumericsAt = 28;
constexpr std::size_t kSpeculativeAt = 29;
constexpr std::size_t kKindAt = 30;
constexpr std::size_t kLengthAt = 48;

std::optional<std::uint8_t> digitOf(char letter) {
  const std::size_t place = kDigits.find(letter);
  if (place == std::string_view::npos) {
    return std::nullopt;
  }
  return static_cast<std::uint8_t>(place);
}

bool sameRange(const RecordHeader& a, const RecordHeader& b, std::size_t from, std::size_t to) {
  return std::equal(a.begin() + static_cast<std::ptrdiff_t>(from),
                    a.begin() + static_cast<std::ptrdiff_t>(to),
                    b.begin() + static_cast<std::ptrdiff_t>(from));
}

}  // namespace

RecordHeader encodeHeader(const StoreIdentity& identity,
                          const RecordId& id,
                          std::uint64_t payloadBytes) {
  ByteWriter writer;
  writer.raw(std::as_bytes(std::span(kMagic)));
  writer.number(kRecordVersion);
  writer.raw(std::as_bytes(std::span(identity.modelHash)));
  writer.number(static_cast<std::uint8_t>(identity.numerics));
  writer.flag(identity.speculative);
  writer.number(static_cast<std::uint8_t>(id.kind));
  writer.number(std::uint8_t{0});
  writer.raw(std::as_bytes(std::span(id.key.bytes)));
  writer.number(payloadBytes);
  RecordHeader header{};
  std::copy(writer.bytes().begin(), writer.bytes().end(), header.begin());
  return header;
}

CheckedHeader checkHeader(const RecordHeader& header,
                          const StoreIdentity& identity,
                          const RecordId& id,
                          std::uint64_t fileBytes) {
  const std::span<const std::byte> bytes = header;
  ByteReader lengthReader(bytes.subspan(kLengthAt));
  const auto payloadBytes = lengthReader.number<std::uint64_t>();
  const RecordHeader expected = encodeHeader(identity, id, payloadBytes);
  if (!sameRange(header, expected, 0, kVersionAt)) {
    return {HeaderVerdict::Damaged, "it is no cache record"};
  }
  if (!sameRange(header, expected, kVersionAt, kModelAt)) {
    ByteReader versionReader(bytes.subspan(kVersionAt));
    return {HeaderVerdict::Foreign,
            fmt::format("it has format {}, this engine has {}",
                        versionReader.number<std::uint32_t>(),
                        kRecordVersion)};
  }
  if (!sameRange(header, expected, kModelAt, kNumericsAt)) {
    return {HeaderVerdict::Foreign, "it is of another model"};
  }
  if (!sameRange(header, expected, kNumericsAt, kSpeculativeAt)) {
    return {HeaderVerdict::Foreign, "it was made with other numerics"};
  }
  if (!sameRange(header, expected, kSpeculativeAt, kKindAt)) {
    return {HeaderVerdict::Foreign, "it was made with the other setting of speculation"};
  }
  if (!sameRange(header, expected, kKindAt, kLengthAt)) {
    return {HeaderVerdict::Damaged, "it is not the record its name says"};
  }
  // Not payloadBytes + kRecordExtraBytes: a damaged length may be the largest number there is.
  if (fileBytes < kRecordExtraBytes || fileBytes - kRecordExtraBytes != payloadBytes) {
    return {HeaderVerdict::Damaged,
            fmt::format("it has {} bytes and a payload of {}", fileBytes, payloadBytes)};
  }
  return {};
}

struct RecordChecksum::State {
  XXH3_state_t xxh;
};

RecordChecksum::RecordChecksum()
    : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(&state_->xxh);
}

RecordChecksum::~RecordChecksum() = default;

void RecordChecksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

std::array<std::byte, kRecordChecksumBytes> RecordChecksum::bytes() const {
  ByteWriter writer;
  writer.number(std::uint64_t{XXH3_64bits_digest(&state_->xxh)});
  std::array<std::byte, kRecordChecksumBytes> result{};
  std::copy(writer.bytes().begin(), writer.bytes().end(), result.begin());
  return result;
}

std::string recordName(const RecordId& id) {
  std::string name;
  for (const auto& [kind, prefix] : kPrefixes) {
    if (kind == id.kind) {
      name = prefix;
    }
  }
  for (const std::uint8_t byte : id.key.bytes) {
    name += kDigits[byte >> 4U];
    name += kDigits[byte & 15U];
  }
  name += kSuffix;
  return name;
}

std::string partName(const RecordId& id) {
  return recordName(id).append(kPartSuffix);
}

std::optional<RecordId> recordOfName(std::string_view name) {
  for (const auto& [kind, prefix] : kPrefixes) {
    RecordId id{kind, {}};
    const std::size_t digits = 2 * id.key.bytes.size();
    if (!name.starts_with(prefix) || !name.ends_with(kSuffix) ||
        name.size() != prefix.size() + digits + kSuffix.size()) {
      continue;
    }
    const std::string_view hex = name.substr(prefix.size(), digits);
    for (std::size_t i = 0; i < id.key.bytes.size(); ++i) {
      const std::optional<std::uint8_t> high = digitOf(hex[2 * i]);
      const std::optional<std::uint8_t> low = digitOf(hex[2 * i + 1]);
      if (!high || !low) {
        return std::nullopt;
      }
      id.key.bytes[i] = static_cast<std::uint8_t>(*high << 4U | *low);
    }
    return id;
  }
  return std::nullopt;
}

bool isPartName(std::string_view name) {
  return name.ends_with(kPartSuffix) &&
         recordOfName(name.substr(0, name.size() - kPartSuffix.size())).has_value();
}

}  // namespace tandem::kvcache
