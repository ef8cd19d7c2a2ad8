// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 0's rule over the disk tier: what is stored, and which prefixes come back for whom.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/runtime/lockstep_runner.h"
#include "engine/runtime/scheduler.h"

namespace tandem::runtime {

struct DiskTierLimits {
  /// How long a sequence waits for its prefix before it starts without it.
  std::chrono::milliseconds patience{5000};
  /// What one fetch may hold in each rank's memory until a plan fills it in.
  std::uint64_t fetchBytes = std::uint64_t{1} << 30U;
  /// What one plan may have copied for the disk, give or take a piece: the engine stands still
  /// while it is.
  std::uint64_t storeBytes = std::uint64_t{64} << 20U;
};

/// A prefix counts as there only once every rank has read all of it from its own disk; its index
/// is rank 0's disk. One prefix is brought at a time. What fails (a record that is gone or broken
/// on one rank, time) costs a warning, and the prompt is computed as if nothing had been kept.
///
/// Engine thread, on which nothing here waits.
class DiskTier final : public PrefixSource {
 public:
  /// The runner has a disk. `wake` is called from other threads when proceed() has something to do.
  /// The referenced objects must outlive it.
  DiskTier(LockstepRunner& runner,
           kvcache::KvCacheManager& kv,
           Logger& logger,
           std::function<void()> wake,
           const DiskTierLimits& limits = {});
  ~DiskTier() override;
  DiskTier(const DiskTier&) = delete;
  DiskTier& operator=(const DiskTier&) = delete;

  // PrefixSource
  [[nodiscard]] bool isBringing(Sequence& sequence, std::int64_t reserveTokens) override;

  /// Takes out of `operations` the stores of what the disk has or will have, and what is too much
  /// for one plan.
  void select(kvcache::CacheOperations& operations) const;

  /// Goes on with what the ranks have fetched, or have not in time. Before every schedule().
  /// Fails    Unavailable when rank 1 is lost
  Result<void> proceed(MonotonicTime now);

  /// When proceed() is due at the latest.
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  /// Once a sequence has started: counts what of its prefix came from the disk.
  void recordAdmission(const Sequence& sequence);

  [[nodiscard]] std::uint64_t diskBytes() const;
  [[nodiscard]] std::uint64_t hitTokens() const { return hitTokens_; }

 private:
  /// The prefix that is on its way.
  struct Bringing {
    std::uint64_t ticket = 0;
    std::uint64_t arrival = 0;  // of the sequence that waits for it
    std::string request;
    std::vector<TokenId> prefix;
    kvcache::PrefixRestore room;
    MonotonicTime begin;
    std::vector<bool> arrived;  // by rank
  };

  /// The longest prefix of the sequence's tokens that memory and disk have together, if it is
  /// longer than that in memory; else 0.
  [[nodiscard]] std::int64_t findOnDisk(const Sequence& sequence, std::int64_t inMemory) const;
  bool begin(Sequence& sequence, std::int64_t reserveTokens);
  Result<void> giveUp(const kvcache::FetchOutcome& why, int rank);

  LockstepRunner& runner_;
  kvcache::KvCacheManager& kv_;
  Logger& logger_;
  const DiskTierLimits limits_;
  std::optional<Bringing> bringing_;
  std::optional<Error> failure_;  // of an order, for proceed()
  std::uint64_t lastTicket_ = 0;
  std::uint64_t hitTokens_ = 0;
  bool fetching_ = true;  // false: rank 1 has no folder
};

}  // namespace tandem::runtime
