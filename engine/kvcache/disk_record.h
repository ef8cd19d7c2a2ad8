// SPDX-License-Identifier: GPL-3.0-or-later
// One cached piece as a file: how it is named, how it lies in bytes, and how damage is found.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/kernels/numerics.h"
#include "engine/kvcache/cache_key.h"

namespace tandem::kvcache {

enum class RecordKind : std::uint8_t {
  Block = 1,     // the entries of a run of tokens
  Snapshot = 2,  // what cannot be cut into blocks: windows and compressor state at one position
};

struct RecordId {
  RecordKind kind = RecordKind::Block;
  CacheKey key;

  friend bool operator==(const RecordId&, const RecordId&) = default;
};

struct RecordIdHash {
  [[nodiscard]] std::size_t operator()(const RecordId& id) const {
    return CacheKeyHash{}(id.key) ^ static_cast<std::size_t>(id.kind);
  }
};

/// What must be the same for a piece to be of use again, besides the tokens: the weights, where
/// entries are rounded, and whether the entries of the draft module are with them.
struct StoreIdentity {
  std::array<std::uint8_t, 16> modelHash{};
  kernels::Numerics numerics = kernels::Numerics::Cache;
  bool speculative = false;
};

// A record, all numbers little endian:
//    0   8  magic "TDMKVREC"
//    8   4  version of this layout
//   12  16  model hash
//   28   1  numerics
//   29   1  speculative
//   30   1  kind
//   31   1  zero
//   32  16  key
//   48   8  length of the payload
//   56   n  payload
// 56+n   8  XXH3, 64 bits, of everything before
inline constexpr std::size_t kRecordHeaderBytes = 56;
inline constexpr std::size_t kRecordChecksumBytes = 8;
inline constexpr std::uint64_t kRecordExtraBytes = kRecordHeaderBytes + kRecordChecksumBytes;
inline constexpr std::uint32_t kRecordVersion = 1;

using RecordHeader = std::array<std::byte, kRecordHeaderBytes>;

[[nodiscard]] RecordHeader encodeHeader(const StoreIdentity& identity,
                                        const RecordId& id,
                                        std::uint64_t payloadBytes);

enum class HeaderVerdict {
  Ours,
  Foreign,  // sound as far as one can see, but of another version, model or setting
  Damaged,
};

struct CheckedHeader {
  HeaderVerdict verdict = HeaderVerdict::Ours;
  std::string reason;  // "" when it is ours
};

/// Whether `header` begins the record `id` in a file of `fileBytes`.
[[nodiscard]] CheckedHeader checkHeader(const RecordHeader& header,
                                        const StoreIdentity& identity,
                                        const RecordId& id,
                                        std::uint64_t fileBytes);

/// XXH3 with 64 bits, piece by piece.
class RecordChecksum {
 public:
  RecordChecksum();
  ~RecordChecksum();
  RecordChecksum(const RecordChecksum&) = delete;
  RecordChecksum& operator=(const RecordChecksum&) = delete;

  void add(std::span<const std::byte> bytes);
  /// As it lies in the file.
  [[nodiscard]] std::array<std::byte, kRecordChecksumBytes> bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "block-00112233445566778899aabbccddeeff.kv", "snapshot-….kv".
[[nodiscard]] std::string recordName(const RecordId& id);

/// The name it has while it is written: recordName() and ".part".
[[nodiscard]] std::string partName(const RecordId& id);

/// The inverse; nothing for a name that none of these gives.
[[nodiscard]] std::optional<RecordId> recordOfName(std::string_view name);
[[nodiscard]] bool isPartName(std::string_view name);

}  // namespace tandem::kvcache
