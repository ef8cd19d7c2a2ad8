// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/disk_replica.h"

#include <fmt/core.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace tandem::kvcache {

Result<std::unique_ptr<DiskReplica>> DiskReplica::open(const DiskReplicaOptions& options,
                                                       Logger& logger,
                                                       OnFetched onFetched) {
  // One that cannot be made is reported by open().
  std::error_code ignored;
  if (std::filesystem::create_directory(options.folder.parent_path(), ignored)) {
    std::filesystem::permissions(options.folder.parent_path(),
                                 std::filesystem::perms::owner_all,
                                 ignored);
  }
  Result<DiskStore> store =
      DiskStore::open(options.folder, options.limitBytes, options.identity, logger);
  if (!store) {
    return store.error();
  }
  std::unique_ptr<DiskReplica> replica(new DiskReplica(options, std::move(onFetched)));
  Result<std::unique_ptr<DiskStoreThread>> thread =
      DiskStoreThread::start(*std::move(store),
                             options.maxPendingBytes,
                             logger,
                             [replica = replica.get()] { replica->collect(); });
  if (!thread) {
    return thread.error();
  }
  replica->thread_ = *std::move(thread);
  return replica;
}

DiskReplica::~DiskReplica() {
  if (thread_) {
    // After a longer wait the rest is lost, and the next start computes it anew.
    (void)thread_->waitUntilIdle(options_.endPatience);
  }
}

bool DiskReplica::contains(const RecordId& record) const {
  {
    const MutexLock lock(mutex_);
    if (removed_.contains(record)) {
      return false;
    }
  }
  return thread_->contains(record.kind, record.key);
}

bool DiskReplica::wants(const RecordId& record) const {
  {
    const MutexLock lock(mutex_);
    if (ordered_.contains(record)) {
      return false;
    }
  }
  return !contains(record);
}

void DiskReplica::store(const RecordId& record, std::span<const std::byte> bytes) {
  if (!wants(record)) {
    return;
  }
  {
    const MutexLock lock(mutex_);
    ordered_.insert(record);
  }
  if (!thread_->write(record.kind, record.key, {bytes.begin(), bytes.end()})) {
    const MutexLock lock(mutex_);
    ordered_.erase(record);
  }
}

void DiskReplica::fetch(std::uint64_t ticket, std::span<const RecordId> records) {
  const MutexLock lock(mutex_);
  fetch_ = {};
  fetch_.ticket = ticket;
  for (const RecordId& record : records) {
    fetch_.reads.insert(thread_->read(record.kind, record.key));
  }
}

bool DiskReplica::fetched(const RecordId& record) const {
  const MutexLock lock(mutex_);
  return fetch_.payloads.contains(record);
}

void DiskReplica::fill(const RecordId& record, std::span<std::byte> into) {
  std::vector<std::byte> payload;
  {
    const MutexLock lock(mutex_);
    const auto found = fetch_.payloads.find(record);
    if (found == fetch_.payloads.end()) {
      return;
    }
    payload = std::move(found->second);
    fetch_.payloads.erase(found);
  }
  std::ranges::copy(payload, into.begin());
}

void DiskReplica::remove(const RecordId& record) {
  const MutexLock lock(mutex_);
  thread_->remove(record.kind, record.key);
  removed_.insert(record);
}

void DiskReplica::collect() {
  std::optional<FetchOutcome> done;
  {
    const MutexLock lock(mutex_);
    for (DiskOutcome& outcome : thread_->take()) {
      if (outcome.operation == DiskOperation::Write) {
        ordered_.erase(outcome.id);
      } else if (outcome.operation == DiskOperation::Remove) {
        removed_.erase(outcome.id);
      } else if (outcome.operation == DiskOperation::Read &&
                 fetch_.reads.erase(outcome.ticket) > 0) {
        takeRead(outcome);
        if (fetch_.reads.empty()) {
          done = fetch_.failure.value_or(FetchOutcome{fetch_.ticket, {}, std::nullopt});
        }
      }
    }
  }
  if (done) {
    onFetched_(*done);
  }
}

void DiskReplica::takeRead(DiskOutcome& outcome) {
  std::string reason;
  if (!outcome.result) {
    reason = outcome.result.error().message;
  } else if (outcome.payload.size() != bytesOf(outcome.id.kind)) {
    reason = fmt::format("{} has {} bytes instead of {}",
                         recordName(outcome.id),
                         outcome.payload.size(),
                         bytesOf(outcome.id.kind));
  } else {
    fetch_.payloads[outcome.id] = std::move(outcome.payload);
    return;
  }
  // The others are of no use without it.
  fetch_.payloads.clear();
  if (!fetch_.failure) {
    fetch_.failure = FetchOutcome{fetch_.ticket, std::move(reason), outcome.id};
  }
}

}  // namespace tandem::kvcache
