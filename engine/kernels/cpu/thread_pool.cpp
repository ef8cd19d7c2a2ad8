// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cpu/thread_pool.h"

#include <fmt/core.h>
#include <pthread.h>

namespace tandem::kernels {

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<std::size_t>(threads > 1 ? threads - 1 : 0));
  for (int part = 1; part < threads; ++part) {
    workers_.emplace_back(
        [this, part, threads](const std::stop_token& stop) { work(stop, part, threads); });
    pthread_setname_np(workers_.back().native_handle(), fmt::format("compute-{}", part).c_str());
  }
}

ThreadPool::~ThreadPool() {
  for (std::jthread& worker : workers_) {
    worker.request_stop();
  }
}

void ThreadPool::run(std::int64_t count, const void* context, Call call) {
  const std::int64_t parts = threads();
  {
    const MutexLock lock(mutex_);
    ++generation_;
    busy_ = static_cast<int>(workers_.size());
    count_ = count;
    context_ = context;
    call_ = call;
  }
  started_.notify_all();
  call(context, 0, 0, count / parts);
  MutexLock lock(mutex_);
  while (busy_ > 0) {
    finished_.wait(lock);
  }
}

// `parts` is handed over: a thread may run before the constructor has filled `workers_`.
void ThreadPool::work(const std::stop_token& stop, std::int64_t part, std::int64_t parts) {
  std::uint64_t seen = 0;
  for (;;) {
    const void* context = nullptr;
    Call call = nullptr;
    std::int64_t count = 0;
    {
      MutexLock lock(mutex_);
      const bool more =
          started_.wait(lock, stop, [this, seen]() TANDEM_ANNOTATE(no_thread_safety_analysis) {
            return generation_ != seen;
          });
      if (!more) {
        return;
      }
      seen = generation_;
      context = context_;
      call = call_;
      count = count_;
    }
    call(context, part, count * part / parts, count * (part + 1) / parts);
    const MutexLock lock(mutex_);
    if (--busy_ == 0) {
      finished_.notify_one();
    }
  }
}

}  // namespace tandem::kernels
