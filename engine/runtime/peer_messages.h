// SPDX-License-Identifier: GPL-3.0-or-later
// What the ranks tell each other over the peer channel, and how it lies in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/api/engine_config.h"
#include "engine/api/engine_stats.h"
#include "engine/api/phase_event.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/comm/peer_channel.h"
#include "engine/kvcache/disk_replica.h"
#include "engine/model/language_model.h"

namespace tandem::runtime {

namespace peer_message {
inline constexpr std::uint16_t kHello = comm::PeerMessage::kFirstFreeType;  // 0 → 1, once, first
inline constexpr std::uint16_t kPlan = kHello + 1;                          // 0 → 1, a StepPlan
inline constexpr std::uint16_t kLoaded = kHello + 2;  // 1 → 0, once: ready for plans
inline constexpr std::uint16_t kPhase = kHello + 3;   // 1 → 0
inline constexpr std::uint16_t kLog = kHello + 4;     // 1 → 0
inline constexpr std::uint16_t kMemory = kHello + 5;  // 1 → 0, once a second
inline constexpr std::uint16_t kCache = kHello + 6;   // 0 → 1, once, after kLoaded: CacheSettings
inline constexpr std::uint16_t kFetch = kHello + 7;   // 0 → 1, a FetchOrder
inline constexpr std::uint16_t kFetched = kHello + 8;  // 1 → 0, a FetchOutcome
}  // namespace peer_message

/// Everything rank 1 must know besides its model folder: rank 0 decides, rank 1 checks and obeys.
struct EpochHello {
  std::int32_t ranks = 0;
  api::Numerics numerics = api::Numerics::Cache;
  api::BackendChoice backend = api::BackendChoice::Auto;
  std::int32_t threads = 0;
  std::int64_t contextTokens = 0;
  std::int32_t prefillChunkTokens = 0;
  std::int32_t maxSequences = 0;
  std::string modelFingerprint;  // of rank 0's folder; rank 1's must be the same

  friend bool operator==(const EpochHello&, const EpochHello&) = default;
};

/// The reason of a FetchOutcome of a rank that never will have any record.
inline constexpr const char* kNoFolder = "there is no cache folder";

/// Records to read from the disk, for a plan to come; they replace those of earlier orders that no
/// plan asked for.
struct FetchOrder {
  std::uint64_t ticket = 0;
  std::vector<kvcache::RecordId> records;

  friend bool operator==(const FetchOrder&, const FetchOrder&) = default;
};

[[nodiscard]] std::vector<std::byte> encode(const EpochHello& hello);
[[nodiscard]] std::vector<std::byte> encode(const api::PhaseEvent& event);
[[nodiscard]] std::vector<std::byte> encode(const LogRecord& record);
[[nodiscard]] std::vector<std::byte> encode(const api::RankMemory& memory);
[[nodiscard]] std::vector<std::byte> encode(const model::CacheSettings& settings);
[[nodiscard]] std::vector<std::byte> encode(const FetchOrder& order);
[[nodiscard]] std::vector<std::byte> encode(const kvcache::FetchOutcome& outcome);

/// Each fails with DataCorrupt for bytes that encode() cannot have made.
Result<EpochHello> decodeHello(std::span<const std::byte> bytes);
Result<api::PhaseEvent> decodePhase(std::span<const std::byte> bytes);
Result<LogRecord> decodeLog(std::span<const std::byte> bytes);
Result<api::RankMemory> decodeMemory(std::span<const std::byte> bytes);
Result<model::CacheSettings> decodeCacheSettings(std::span<const std::byte> bytes);
Result<FetchOrder> decodeFetchOrder(std::span<const std::byte> bytes);
Result<kvcache::FetchOutcome> decodeFetchOutcome(std::span<const std::byte> bytes);

}  // namespace tandem::runtime
