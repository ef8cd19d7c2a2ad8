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
  std::atomic<int> forwards{0};
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

/// Keeps the tokens themselves as entries of its one layer, so that every answer depends on each
/// block, copy and table being right. Guesses are right two times out of three.
///
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

  [[nodiscard]] bool hasMtp() const override { return true; }
  [[nodiscard]] kvcache::CacheShape cacheShape(
      const model::CacheSettings& settings) const override {
    kvcache::CacheShape shape;
    shape.ratios = {4};
    shape.windowTokens = 1;
    shape.entry = {kernels::EntryFormat::Float32, 4, 0};  // four tokens
    shape.indexerKey = {kernels::EntryFormat::Float32, 4, 0};
    shape.streamWidth = settings.mtp ? 1 : 0;
    shape.maxDrafts = settings.maxDrafts;
    return shape;
  }

  Result<void> forward(kvcache::KvCache& cache,
                       std::span<const model::SequenceChunk> chunks,
                       const model::StepResults& results) override {
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
    std::fill(results.logits.begin(), results.logits.end(), 0.0F);
    std::span<float> logits = results.logits;
    std::span<TokenId> drafts = results.drafts;
    for (const model::SequenceChunk& chunk : chunks) {
      std::vector<TokenId> history = read(cache, chunk);
      std::vector<TokenId> rows(chunk.tokens.begin(), chunk.tokens.end());
      control_.largestChunk =
          std::max(control_.largestChunk.load(), static_cast<std::int64_t>(rows.size()));
      std::vector<TokenId> guessing = history;
      guessing.insert(guessing.end(), rows.begin(), rows.end());
      for (std::int64_t d = 0; d < chunk.drafts; ++d) {
        const TokenId right = fakeNextToken(guessing, vocabSize_);
        const TokenId guess =
            (right + d) % 3 == 0 ? static_cast<TokenId>((right + 1) % vocabSize_) : right;
        guessing.push_back(guess);
        rows.push_back(guess);
        drafts.front() = guess;
        drafts = drafts.subspan(1);
      }
      const auto firstLogits =
          static_cast<std::int64_t>(rows.size()) - chunk.logitRows - chunk.drafts;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        history.push_back(rows[i]);
        write(cache, chunk, chunk.position + static_cast<std::int64_t>(i), rows[i]);
        if (static_cast<std::int64_t>(i) >= firstLogits) {
          logits[static_cast<std::size_t>(fakeNextToken(history, vocabSize_))] = 10.0F;
          logits = logits.subspan(static_cast<std::size_t>(vocabSize_));
        }
      }
      carry(cache, chunk, rows);
    }
    return {};
  }

 private:
  static float& place(kvcache::KvCache& cache,
                      const model::SequenceChunk& chunk,
                      std::int64_t position) {
    const auto pages = cache.entries(0, chunk.blocks);
    return reinterpret_cast<float*>(pages.entry(position / 4))[position % 4];
  }
  static void write(kvcache::KvCache& cache,
                    const model::SequenceChunk& chunk,
                    std::int64_t position,
                    TokenId token) {
    place(cache, chunk, position) = static_cast<float>(token);
  }
  static std::vector<TokenId> read(kvcache::KvCache& cache, const model::SequenceChunk& chunk) {
    std::vector<TokenId> history;
    for (std::int64_t p = 0; p < chunk.position; ++p) {
      history.push_back(static_cast<TokenId>(place(cache, chunk, p)));
    }
    return history;
  }
  static void carry(kvcache::KvCache& cache,
                    const model::SequenceChunk& chunk,
                    const std::vector<TokenId>& rows) {
    const std::size_t kept = chunk.drafts > 0 ? rows.size() : 1;
    const std::size_t first = rows.size() - kept;
    cache.carried(chunk.slot) = {chunk.position + static_cast<std::int64_t>(first),
                                 {rows.begin() + static_cast<std::ptrdiff_t>(first), rows.end()}};
  }

  FakeModelControl& control_;
  const std::int64_t vocabSize_;
  const std::int64_t contextTokens_;
  comm::Communicator* const communicator_;
};

}  // namespace tandem::test
