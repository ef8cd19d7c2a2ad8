// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/loopback_communicator.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "engine/base/thread_annotations.h"
#include "engine/comm/collective_call.h"

namespace tandem::comm {

namespace {

// A rank usually finds its peers within a few microseconds; asleep it would need a wake-up.
constexpr int kSpins = 200;

/// What one rank brings to one collective.
struct Contribution {
  CollectiveCall call;
  std::vector<std::byte> data;
};

/// One rank's place in the group. The rank writes a contribution, then publishes it by raising
/// `posted`; the others read it once they see the number.
///
/// Two contributions alternate, so one meeting a call is enough: a rank can start call n+1 while
/// others still read n, but it cannot finish n+1, and so never reuses n's place, before they came.
struct Seat {
  std::atomic<std::uint64_t> posted{0};
  std::atomic<bool> left{false};
  std::array<Contribution, 2> contributions;
};

class Group {
 public:
  Group(int ranks, std::chrono::milliseconds deadline)
      : deadline_(deadline),
        seats_(static_cast<std::size_t>(ranks)) {}

  [[nodiscard]] int size() const { return static_cast<int>(seats_.size()); }
  [[nodiscard]] Seat& seat(int rank) { return seats_[static_cast<std::size_t>(rank)]; }

  void announce() TANDEM_EXCLUDES(mutex_) {
    // Taking the lock orders the change before a waiter's check or after its sleep, never between.
    { const MutexLock lock(mutex_); }
    changed_.notify_all();
  }

  /// Blocks until `other` has posted call `sequence`.
  Result<void> await(int other, const CollectiveCall& call) TANDEM_EXCLUDES(mutex_) {
    Seat& peer = seat(other);
    const auto posted = [&] { return peer.posted.load() >= call.sequence; };
    for (int spin = 0; spin < kSpins && !posted(); ++spin) {
      std::this_thread::yield();
    }
    if (!posted()) {
      MutexLock lock(mutex_);
      changed_.wait_for(lock, deadline_, [&] { return posted() || peer.left.load(); });
    }
    if (posted()) {
      return {};
    }
    if (peer.left.load()) {
      return Error{
          ErrorCode::Unavailable,
          fmt::format("rank {} is gone; it did not take part in {}", other, describe(call)),
          "Its own error says why."};
    }
    return Error{ErrorCode::Timeout,
                 fmt::format("rank {} did not reach {} within {} ms",
                             other,
                             describe(call),
                             deadline_.count()),
                 "It is stuck or far slower than this rank; look at its log."};
  }

 private:
  const std::chrono::milliseconds deadline_;
  std::vector<Seat> seats_;
  Mutex mutex_;
  Condition changed_;
};

class LoopbackCommunicator final : public Communicator {
 public:
  LoopbackCommunicator(std::shared_ptr<Group> group, int rank)
      : group_(std::move(group)),
        rank_(rank) {}
  LoopbackCommunicator(const LoopbackCommunicator&) = delete;
  LoopbackCommunicator& operator=(const LoopbackCommunicator&) = delete;

  ~LoopbackCommunicator() override {
    group_->seat(rank_).left.store(true);
    group_->announce();
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return group_->size(); }

  Result<void> allReduceSum(std::span<float> data) override {
    const Result<void> met = meet(CollectiveOp::AllReduceSum, 0, std::as_bytes(data));
    if (!met) {
      return met;
    }
    std::memcpy(data.data(), contribution(0).data.data(), data.size_bytes());
    for (int other = 1; other < size(); ++other) {
      const std::byte* addends = contribution(other).data.data();
      for (std::size_t i = 0; i < data.size(); ++i) {
        float addend = 0;
        std::memcpy(&addend, addends + i * sizeof(float), sizeof(float));
        data[i] += addend;
      }
    }
    return {};
  }

  Result<void> allGather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    const Result<void> met = meet(CollectiveOp::AllGather, 0, mine);
    if (!met) {
      return met;
    }
    for (int other = 0; other < size(); ++other) {
      const std::vector<std::byte>& part = contribution(other).data;
      std::copy(part.begin(),
                part.end(),
                all.begin() + static_cast<std::ptrdiff_t>(mine.size()) * other);
    }
    return {};
  }

  Result<void> broadcast(std::span<std::byte> data, int root) override {
    const Result<void> met = meet(CollectiveOp::Broadcast, root, data);
    if (!met) {
      return met;
    }
    const std::vector<std::byte>& source = contribution(root).data;
    std::copy(source.begin(), source.end(), data.begin());
    return {};
  }

 private:
  /// Posts this rank's part of the next call and waits for everyone else's.
  Result<void> meet(CollectiveOp op, int root, std::span<const std::byte> mine) {
    if (failure_) {
      return *failure_;
    }
    ++sequence_;
    const CollectiveCall call{sequence_, op, root, mine.size()};
    contribution(rank_).call = call;
    contribution(rank_).data.assign(mine.begin(), mine.end());
    group_->seat(rank_).posted.store(sequence_);
    group_->announce();
    for (int other = 0; other < size(); ++other) {
      if (other == rank_) {
        continue;
      }
      const Result<void> came = group_->await(other, call);
      if (!came) {
        return failure_.emplace(came.error());
      }
      if (contribution(other).call != call) {
        return failure_.emplace(mismatchError(rank_, call, other, contribution(other).call));
      }
    }
    return {};
  }

  [[nodiscard]] Contribution& contribution(int rank) {
    return group_->seat(rank).contributions[sequence_ % 2];
  }

  const std::shared_ptr<Group> group_;
  const int rank_;
  std::uint64_t sequence_ = 0;
  std::optional<Error> failure_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> makeLoopbackCommunicators(
    int ranks,
    std::chrono::milliseconds deadline) {
  const auto group = std::make_shared<Group>(ranks, deadline);
  std::vector<std::unique_ptr<Communicator>> ends;
  ends.reserve(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    ends.push_back(std::make_unique<LoopbackCommunicator>(group, rank));
  }
  return ends;
}

}  // namespace tandem::comm
