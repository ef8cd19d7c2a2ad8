// SPDX-License-Identifier: GPL-3.0-or-later
// The disk tier for a thread that must not wait: jobs go in, outcomes come out, in order.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "engine/base/event_fd.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/base/thread_annotations.h"
#include "engine/kvcache/disk_store.h"

namespace tandem::kvcache {

enum class DiskOperation { Read, Write, Remove };

/// What became of one job.
struct DiskOutcome {
  std::uint64_t ticket = 0;
  DiskOperation operation = DiskOperation::Read;
  RecordId id;
  Result<void> result;
  std::vector<std::byte> payload;  // of a read that succeeded
};

struct DiskCounters {
  DiskUsage usage;
  std::uint64_t pendingBytes = 0;   // of payloads that wait to be written, or are
  std::uint64_t droppedWrites = 0;  // because that was too much
  std::uint64_t failedWrites = 0;
};

/// Owns a DiskStore and the thread "disk cache" that works on it. No function but waitUntilIdle()
/// and the destructor waits for the disk.
///
/// Thread   any
class DiskStoreThread {
 public:
  /// maxPendingBytes   what waiting writes may hold in memory; a write beyond it is dropped, and so
  ///                   is one that is larger than all of it
  ///
  /// onOutcome         called on the thread of the disk whenever take() has something new, if given
  ///
  /// `logger` must outlive it. Fails with Unavailable without file descriptors.
  static Result<std::unique_ptr<DiskStoreThread>> start(DiskStore store,
                                                        std::uint64_t maxPendingBytes,
                                                        Logger& logger,
                                                        std::function<void()> onOutcome = {});

  /// Finishes the job at hand and drops those behind it.
  ~DiskStoreThread();
  DiskStoreThread(const DiskStoreThread&) = delete;
  DiskStoreThread& operator=(const DiskStoreThread&) = delete;

  /// Each gives the ticket of its outcome. A read finds what was written before it was asked for.
  std::uint64_t read(RecordKind kind, const CacheKey& key) TANDEM_EXCLUDES(mutex_);
  std::uint64_t remove(RecordKind kind, const CacheKey& key) TANDEM_EXCLUDES(mutex_);
  /// Nothing when the write was dropped.
  std::optional<std::uint64_t> write(RecordKind kind,
                                     const CacheKey& key,
                                     std::vector<std::byte> payload) TANDEM_EXCLUDES(mutex_);

  /// Whether the record is on the disk now: not yet while its write waits, and not any more once it
  /// was evicted. A read may still fail, when it is damaged or goes before its turn comes.
  [[nodiscard]] bool contains(RecordKind kind, const CacheKey& key) const TANDEM_EXCLUDES(mutex_);

  /// What is done since the last call, in the order of the jobs. Clears readiness.
  [[nodiscard]] std::vector<DiskOutcome> take() TANDEM_EXCLUDES(mutex_);

  /// Polls readable while take() has something to give. Owned by this object.
  [[nodiscard]] int readyFd() const { return ready_.fd(); }

  [[nodiscard]] DiskCounters counters() const TANDEM_EXCLUDES(mutex_);

  /// Blocks until every job is done. False when `patience` is over before. For an orderly end.
  bool waitUntilIdle(std::chrono::milliseconds patience) TANDEM_EXCLUDES(mutex_);

 private:
  struct Job {
    std::uint64_t ticket = 0;
    DiskOperation operation = DiskOperation::Read;
    RecordId id;
    std::vector<std::byte> payload;  // of a write
  };

  DiskStoreThread(DiskStore store,
                  std::uint64_t maxPendingBytes,
                  Logger& logger,
                  std::function<void()> onOutcome,
                  EventFd ready);

  std::uint64_t enqueue(DiskOperation operation, const RecordId& id, std::vector<std::byte> payload)
      TANDEM_REQUIRES(mutex_);

  // The thread.
  void run() TANDEM_EXCLUDES(mutex_);
  DiskOutcome work(const Job& job) TANDEM_EXCLUDES(mutex_);
  Result<void> readInto(const RecordId& id, std::vector<std::byte>& payload);
  Result<void> writeFrom(const Job& job);

  const std::uint64_t maxPendingBytes_;
  Logger& logger_;
  const std::function<void()> onOutcome_;
  const EventFd ready_;

  DiskStore store_;                 // the thread
  std::uint64_t failedInARow_ = 0;  // the thread: writes since the last one that succeeded

  mutable Mutex mutex_;
  Condition changed_;
  std::deque<Job> jobs_ TANDEM_GUARDED_BY(mutex_);
  bool working_ TANDEM_GUARDED_BY(mutex_) = false;
  bool ending_ TANDEM_GUARDED_BY(mutex_) = false;
  std::uint64_t lastTicket_ TANDEM_GUARDED_BY(mutex_) = 0;
  std::vector<DiskOutcome> done_ TANDEM_GUARDED_BY(mutex_);
  DiskCounters counters_ TANDEM_GUARDED_BY(mutex_);
  std::unordered_set<RecordId, RecordIdHash> held_ TANDEM_GUARDED_BY(mutex_);

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tandem::kvcache
