// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/disk_store_thread.h"

#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names

#include <utility>

#include "engine/base/thread_name.h"

namespace tandem::kvcache {

Result<std::unique_ptr<DiskStoreThread>> DiskStoreThread::start(DiskStore store,
                                                                std::uint64_t maxPendingBytes,
                                                                Logger& logger,
                                                                std::function<void()> onOutcome) {
  Result<EventFd> ready = EventFd::create();
  if (!ready) {
    return ready.error();
  }
  return std::unique_ptr<DiskStoreThread>(new DiskStoreThread(std::move(store),
                                                              maxPendingBytes,
                                                              logger,
                                                              std::move(onOutcome),
                                                              *std::move(ready)));
}

DiskStoreThread::DiskStoreThread(DiskStore store,
                                 std::uint64_t maxPendingBytes,
                                 Logger& logger,
                                 std::function<void()> onOutcome,
                                 EventFd ready)
    : maxPendingBytes_(maxPendingBytes),
      logger_(logger),
      onOutcome_(std::move(onOutcome)),
      ready_(std::move(ready)),
      store_(std::move(store)) {
  const std::vector<RecordId> records = store_.records();
  {
    const MutexLock lock(mutex_);
    held_.insert(records.begin(), records.end());
    counters_.usage = store_.usage();
  }
  store_.watchLosses([this](const RecordId& id) {
    const MutexLock lock(mutex_);
    held_.erase(id);
  });
  thread_ = std::thread([this] { run(); });
}

DiskStoreThread::~DiskStoreThread() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::uint64_t DiskStoreThread::read(RecordKind kind, const CacheKey& key) {
  const MutexLock lock(mutex_);
  return enqueue(DiskOperation::Read, {kind, key}, {});
}

std::uint64_t DiskStoreThread::remove(RecordKind kind, const CacheKey& key) {
  const MutexLock lock(mutex_);
  return enqueue(DiskOperation::Remove, {kind, key}, {});
}

std::optional<std::uint64_t> DiskStoreThread::write(RecordKind kind,
                                                    const CacheKey& key,
                                                    std::vector<std::byte> payload) {
  const MutexLock lock(mutex_);
  if (payload.size() > maxPendingBytes_ ||
      counters_.pendingBytes > maxPendingBytes_ - payload.size()) {
    ++counters_.droppedWrites;
    return std::nullopt;
  }
  counters_.pendingBytes += payload.size();
  return enqueue(DiskOperation::Write, {kind, key}, std::move(payload));
}

std::uint64_t DiskStoreThread::enqueue(DiskOperation operation,
                                       const RecordId& id,
                                       std::vector<std::byte> payload) {
  jobs_.push_back({++lastTicket_, operation, id, std::move(payload)});
  changed_.notify_all();
  return lastTicket_;
}

bool DiskStoreThread::contains(RecordKind kind, const CacheKey& key) const {
  const MutexLock lock(mutex_);
  return held_.contains(RecordId{kind, key});
}

std::vector<DiskOutcome> DiskStoreThread::take() {
  const MutexLock lock(mutex_);
  ready_.clear();
  return std::exchange(done_, {});
}

DiskCounters DiskStoreThread::counters() const {
  const MutexLock lock(mutex_);
  return counters_;
}

bool DiskStoreThread::waitUntilIdle(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  MutexLock lock(mutex_);
  while (working_ || !jobs_.empty()) {
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
      return !working_ && jobs_.empty();
    }
  }
  return true;
}

void DiskStoreThread::run() {
  nameThisThread("disk cache");
  // Beyond a limit of file size the kernel would end the process; blocked, write() just fails.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  while (true) {
    Job job;
    {
      MutexLock lock(mutex_);
      while (jobs_.empty() && !ending_) {
        changed_.wait(lock);
      }
      if (ending_) {
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
      working_ = true;
    }
    DiskOutcome outcome = work(job);
    {
      const MutexLock lock(mutex_);
      working_ = false;
      counters_.usage = store_.usage();
      if (job.operation == DiskOperation::Write) {
        counters_.pendingBytes -= job.payload.size();
        if (outcome.result) {
          held_.insert(job.id);
        } else {
          ++counters_.failedWrites;
        }
      }
      done_.push_back(std::move(outcome));
      ready_.raise();
    }
    if (onOutcome_) {
      onOutcome_();
    }
    changed_.notify_all();
  }
}

DiskOutcome DiskStoreThread::work(const Job& job) {
  DiskOutcome outcome;
  outcome.ticket = job.ticket;
  outcome.operation = job.operation;
  outcome.id = job.id;
  switch (job.operation) {
    case DiskOperation::Read:
      outcome.result = readInto(job.id, outcome.payload);
      break;
    case DiskOperation::Write:
      outcome.result = writeFrom(job);
      break;
    case DiskOperation::Remove:
      outcome.result = store_.remove(job.id.kind, job.id.key);
      break;
  }
  return outcome;
}

Result<void> DiskStoreThread::readInto(const RecordId& id, std::vector<std::byte>& payload) {
  payload.resize(store_.payloadBytes(id.kind, id.key).value_or(0));
  Result<void> read = store_.read(id.kind, id.key, payload);
  if (!read) {
    payload = {};
  }
  return read;
}

/// A disk that is full fails every write: the log hears of the first, and of the end.
Result<void> DiskStoreThread::writeFrom(const Job& job) {
  Result<void> written = store_.write(job.id.kind, job.id.key, job.payload);
  if (written) {
    if (failedInARow_ > 0) {
      logger_.info("cache", "the disk cache goes on; {} records were not kept", failedInARow_);
    }
    failedInARow_ = 0;
  } else if (written.error().code != ErrorCode::OutOfRange && failedInARow_++ == 0) {
    logger_.warning("cache",
                    "{}; nothing is kept on the disk until that works again",
                    written.error().message);
  }
  return written;
}

}  // namespace tandem::kvcache
