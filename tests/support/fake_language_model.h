// SPDX-License-Identifier: GPL-3.0-or-later
// A language model whose next token is a known function of the tokens before it, and which can be
// held, fail, or run out of memory on demand.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/thread_annotations.h"
#include "engine/comm/communicator.h"
#include "engine/model/language_model.h"

namespace tandem::test {

/// Holds a model's forwards while it is closed, so that a test decides what happens during a step.
class Valve {
 public:
  void close() TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    open_ = false;
  }
  void open() TANDEM_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }

  /// The model's side: comes, and goes on when the valve is open.
  void pass() TANDEM_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    ++arrivals_;
    changed_.notify_all();
    while (!open_) {
      changed_.wait(lock);
    }
  }

  /// Waits for the n-th forward (from 1) to begin. False if it does not within ten seconds.
  bool waitForArrivals(int n) TANDEM_EXCLUDES(mutex_) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    MutexLock lock(mutex_);
    while (arrivals_ < n) {
      if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
        return false;
      }
    }
    return true;
  }

  [[nodiscard]] int arrivals() const TANDEM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return arrivals_;
  }

 private:
  mutable Mutex mutex_;
  Condition changed_;
  bool open_ TANDEM_GUARDED_BY(mutex_) = true;
  int arrivals_ TANDEM_GUARDED_BY(mutex_) = 0;
};

/// What a test may change while the model runs.
struct FakeModelControl {
  Valve valve;                          // before each forward
  std::atomic<int> failAtForward{0};    // the n-th forward (from 1) fails; 0: none does
  std::atomic<int> refuseAtForward{0};  // as above, with OutOfRange
  std::atomic<bool> outOfMemory{false};
  std::atomic<int> forwards{0};
  std::atomic<int> openSequences{0};
  std::atomic<std::int64_t> largestChunk{0};
};

/// The token that follows a history: a hash of all of it, so that a lost, doubled or swapped token
/// changes everything after it.
inline TokenId fakeNextToken(const std::vector<TokenId>& history, std::int64_t vocabSize) {
  std::uint64_t hash = 1469598103934665603ULL;
  for (const TokenId token : history) {
    hash = (hash ^ static_cast<std::uint64_t>(token + 1)) * 1099511628211ULL;
  }
  return static_cast<TokenId>((hash >> 20U) % static_cast<std::uint64_t>(vocabSize));
}

class FakeSequenceState final : public model::SequenceState {
 public:
  explicit FakeSequenceState(FakeModelControl& control)
      : control_(control) {
    ++control_.openSequences;
  }
  ~FakeSequenceState() override { --control_.openSequences; }
  FakeSequenceState(const FakeSequenceState&) = delete;
  FakeSequenceState& operator=(const FakeSequenceState&) = delete;

  [[nodiscard]] std::int64_t length() const override {
    return static_cast<std::int64_t>(history.size());
  }
  [[nodiscard]] std::uint64_t bytes() const override { return 1000 + history.size(); }

  std::vector<TokenId> history;

 private:
  FakeModelControl& control_;
};

/// With a communicator it also does one all-reduce per step, like a real model of two ranks.
class FakeLanguageModel final : public model::LanguageModel {
 public:
  FakeLanguageModel(FakeModelControl& control,
                    std::int64_t vocabSize,
                    std::int64_t contextTokens,
                    comm::Communicator* communicator = nullptr)
      : control_(control),
        vocabSize_(vocabSize),
        contextTokens_(contextTokens),
        communicator_(communicator) {}

  [[nodiscard]] std::int64_t vocabSize() const override { return vocabSize_; }
  [[nodiscard]] std::int64_t maxContextTokens() const override { return contextTokens_; }
  [[nodiscard]] std::uint64_t weightBytes() const override { return 4096; }

  Result<std::unique_ptr<model::SequenceState>> newSequence(std::int64_t /*maxTokens*/) override {
    if (control_.outOfMemory) {
      return Error{ErrorCode::OutOfMemory, "no memory for a sequence", "Send shorter prompts."};
    }
    return std::unique_ptr<model::SequenceState>(std::make_unique<FakeSequenceState>(control_));
  }

  Result<void> forward(std::span<const model::SequenceChunk> chunks,
                       std::span<float> logits) override {
    const int index = ++control_.forwards;
    control_.valve.pass();
    if (index == control_.failAtForward) {
      return Error{ErrorCode::Internal, "the fake model broke", ""};
    }
    if (index == control_.refuseAtForward) {
      return Error{ErrorCode::OutOfRange, "the fake model refused", ""};
    }
    if (communicator_ != nullptr) {
      std::vector<float> one{1.0F};
      if (const Result<void> done = communicator_->allReduceSum(one); !done) {
        return done;
      }
    }
    std::fill(logits.begin(), logits.end(), 0.0F);
    for (const model::SequenceChunk& chunk : chunks) {
      auto& history = static_cast<FakeSequenceState*>(chunk.state)->history;
      const auto count = static_cast<std::int64_t>(chunk.tokens.size());
      control_.largestChunk = std::max(control_.largestChunk.load(), count);
      for (std::int64_t i = 0; i < count; ++i) {
        history.push_back(chunk.tokens[static_cast<std::size_t>(i)]);
        if (i >= count - chunk.logitRows) {
          logits[static_cast<std::size_t>(fakeNextToken(history, vocabSize_))] = 10.0F;
          logits = logits.subspan(static_cast<std::size_t>(vocabSize_));
        }
      }
    }
    return {};
  }

 private:
  FakeModelControl& control_;
  const std::int64_t vocabSize_;
  const std::int64_t contextTokens_;
  comm::Communicator* const communicator_;
};

}  // namespace tandem::test
