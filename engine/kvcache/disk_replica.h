// SPDX-License-Identifier: GPL-3.0-or-later
// One rank's copy of the disk tier: keeps pieces of its cache, and fetches them for a plan to fill.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/base/thread_annotations.h"
#include "engine/kvcache/disk_store_thread.h"

namespace tandem::kvcache {

struct DiskReplicaOptions {
  std::filesystem::path folder;
  std::uint64_t limitBytes = 0;
  StoreIdentity identity;
  std::size_t blockBytes = 0;  // payloads of records, see CacheLayout
  std::size_t snapshotBytes = 0;
  /// What stores may hold in memory until they are written; what is more is not kept.
  std::uint64_t maxPendingBytes = std::uint64_t{256} << 20U;
  /// How long the end waits for them.
  std::chrono::milliseconds endPatience{3000};
};

/// What became of one fetch.
struct FetchOutcome {
  std::uint64_t ticket = 0;
  std::string reason;               // for people: why it failed; "": every record is here
  std::optional<RecordId> missing;  // the first that is not, where it is one record's fault

  friend bool operator==(const FetchOutcome&, const FetchOutcome&) = default;
};

/// Every rank has one of its own, with the same records as long as no disk fails. Stores and fills
/// come with plans, fetches before them. Only the end waits for the disk. `logger` must outlive it.
///
/// Thread   any; a fetch's records are filled by one
class DiskReplica {
 public:
  /// Called once a fetch that no later one replaced, on a thread of its own or that of fetch().
  using OnFetched = std::function<void(const FetchOutcome&)>;

  /// Makes the folder, and its parent if only that is missing. Fails as DiskStore::open().
  static Result<std::unique_ptr<DiskReplica>> open(const DiskReplicaOptions& options,
                                                   Logger& logger,
                                                   OnFetched onFetched);

  /// Waits for pending writes, at most options.endPatience.
  ~DiskReplica();
  DiskReplica(const DiskReplica&) = delete;
  DiskReplica& operator=(const DiskReplica&) = delete;

  /// Whether it is on the disk now.
  [[nodiscard]] bool contains(const RecordId& record) const TANDEM_EXCLUDES(mutex_);
  /// Whether it is neither there nor on its way.
  [[nodiscard]] bool wants(const RecordId& record) const TANDEM_EXCLUDES(mutex_);

  /// Copies the bytes and has them written, if it wants them and has room.
  void store(const RecordId& record, std::span<const std::byte> bytes) TANDEM_EXCLUDES(mutex_);

  /// Reads records, and forgets what an earlier fetch has not filled. None: only forgets.
  void fetch(std::uint64_t ticket, std::span<const RecordId> records) TANDEM_EXCLUDES(mutex_);

  /// Whether fill() can.
  [[nodiscard]] bool fetched(const RecordId& record) const TANDEM_EXCLUDES(mutex_);
  /// Moves the fetched bytes there, all `into` long.
  void fill(const RecordId& record, std::span<std::byte> into) TANDEM_EXCLUDES(mutex_);

  /// So that the next prefix that has it stores it again: from now on it is not there.
  void remove(const RecordId& record) TANDEM_EXCLUDES(mutex_);

  [[nodiscard]] DiskCounters counters() const { return thread_->counters(); }
  [[nodiscard]] std::uint64_t bytesOf(RecordKind kind) const {
    return kind == RecordKind::Block ? options_.blockBytes : options_.snapshotBytes;
  }

 private:
  struct Fetch {
    std::uint64_t ticket = 0;
    std::unordered_set<std::uint64_t> reads;  // tickets of the thread's reads that are not done
    std::optional<FetchOutcome> failure;
    std::unordered_map<RecordId, std::vector<std::byte>, RecordIdHash> payloads;
  };

  DiskReplica(const DiskReplicaOptions& options, OnFetched onFetched)
      : options_(options),
        onFetched_(std::move(onFetched)) {}

  /// Takes what the thread has done.
  void collect() TANDEM_EXCLUDES(mutex_);
  void takeRead(DiskOutcome& outcome) TANDEM_REQUIRES(mutex_);

  const DiskReplicaOptions options_;
  const OnFetched onFetched_;
  mutable Mutex mutex_;
  std::unordered_set<RecordId, RecordIdHash> ordered_ TANDEM_GUARDED_BY(mutex_);
  std::unordered_set<RecordId, RecordIdHash> removed_ TANDEM_GUARDED_BY(mutex_);  // but not yet
  Fetch fetch_ TANDEM_GUARDED_BY(mutex_);
  std::unique_ptr<DiskStoreThread> thread_;  // last: it calls collect()
};

}  // namespace tandem::kvcache
