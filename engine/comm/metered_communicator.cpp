// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/metered_communicator.h"

#include "engine/base/clock.h"

namespace tandem::comm {

class MeteredCommunicator::Stopwatch {
 public:
  explicit Stopwatch(std::atomic<std::int64_t>& total)
      : total_(total),
        start_(monotonicNanoseconds()) {}
  ~Stopwatch() { total_.fetch_add(monotonicNanoseconds() - start_, std::memory_order_relaxed); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  std::atomic<std::int64_t>& total_;
  const std::int64_t start_;
};

Result<void> MeteredCommunicator::allReduceSum(std::span<float> data) {
  const Stopwatch stopwatch(elapsedNs_);
  return inner_.allReduceSum(data);
}

Result<void> MeteredCommunicator::allGather(std::span<const std::byte> mine,
                                            std::span<std::byte> all) {
  const Stopwatch stopwatch(elapsedNs_);
  return inner_.allGather(mine, all);
}

Result<void> MeteredCommunicator::broadcast(std::span<std::byte> data, int root) {
  const Stopwatch stopwatch(elapsedNs_);
  return inner_.broadcast(data, root);
}

}  // namespace tandem::comm
