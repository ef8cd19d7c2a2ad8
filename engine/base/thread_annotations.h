// SPDX-License-Identifier: GPL-3.0-or-later
// Clang's thread-safety annotations, and a mutex that carries them.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
  #define TANDEM_ANNOTATE(x) __attribute__((x))
#else
  #define TANDEM_ANNOTATE(x)
#endif

#define TANDEM_CAPABILITY(x) TANDEM_ANNOTATE(capability(x))
#define TANDEM_SCOPED_CAPABILITY TANDEM_ANNOTATE(scoped_lockable)
#define TANDEM_GUARDED_BY(x) TANDEM_ANNOTATE(guarded_by(x))
#define TANDEM_PT_GUARDED_BY(x) TANDEM_ANNOTATE(pt_guarded_by(x))
#define TANDEM_REQUIRES(...) TANDEM_ANNOTATE(requires_capability(__VA_ARGS__))
#define TANDEM_EXCLUDES(...) TANDEM_ANNOTATE(locks_excluded(__VA_ARGS__))
#define TANDEM_ACQUIRE(...) TANDEM_ANNOTATE(acquire_capability(__VA_ARGS__))
#define TANDEM_RELEASE(...) TANDEM_ANNOTATE(release_capability(__VA_ARGS__))

namespace tandem {

/// std::mutex that clang's analysis understands.
class TANDEM_CAPABILITY("mutex") Mutex {
 public:
  void lock() TANDEM_ACQUIRE() { mutex_.lock(); }
  void unlock() TANDEM_RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex for a scope; a std::condition_variable_any can wait on it.
class TANDEM_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TANDEM_ACQUIRE(mutex)
      : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() TANDEM_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  /// For std::condition_variable_any only: it unlocks while it waits and relocks before it returns.
  void lock() TANDEM_ANNOTATE(no_thread_safety_analysis) { mutex_.lock(); }
  void unlock() TANDEM_ANNOTATE(no_thread_safety_analysis) { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

using Condition = std::condition_variable_any;

}  // namespace tandem
