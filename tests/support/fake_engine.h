// SPDX-License-Identifier: GPL-3.0-or-later
// An engine that says what a test tells it to, when it is told to, and fails on request.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/api/engine_client.h"
#include "engine/base/clock.h"
#include "engine/base/thread_annotations.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem::testing {

/// What the fake model does with one request.
struct FakeReply {
  std::string text;                      // raw output, markup included; its end of sentence follows
  std::vector<std::string> textsBySeed;  // if any, the text of seed s is the one at s % size
  bool endless = false;                  // begins again instead of ending
  std::chrono::milliseconds prefill{0};  // before the first token
  std::chrono::milliseconds perPiece{0};
  std::size_t tokensPerPiece = 1;
  std::int64_t cachedTokens = 0;
  std::optional<std::size_t> failAfterTokens;  // then FinishReason::Failed
};

/// Chooses the reply to a prompt (the text of its tokens).
using FakeScript = std::function<FakeReply(const std::string& prompt)>;

/// The logprob of the fake model's n-th token, from 0.
[[nodiscard]] constexpr double fakeLogprob(std::size_t n) {
  return -0.25 * static_cast<double>(n % 8);
}

/// Serves any number of requests at once on a thread of its own. Any thread may call.
///
/// Of the sampling parameters it honours maxTokens; seed, as the reply says; a logitBias of -100,
/// whose token it leaves out; and logprobs: fakeLogprob(n) for the n-th token, with itself and the
/// tokens of the ids above it as the likeliest, each 1 below the one before. It honours a thinking
/// budget as the real engine does.
class FakeEngine final : public api::EngineClient {
 public:
  /// `tokenizer` must outlive the engine.
  FakeEngine(const tokenizer::Tokenizer& tokenizer, FakeScript script);
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;
  ~FakeEngine() override;

  Result<std::shared_ptr<api::OutputQueue>> submit(api::TokenRequest request) override;
  void cancel(const std::string& requestId) override;
  [[nodiscard]] api::EngineState state() const override { return state_; }
  [[nodiscard]] api::EngineInfo info() const override;
  [[nodiscard]] std::shared_ptr<const api::EngineStats> stats() const override;

  /// Knobs, to be set before the requests they are meant for.
  void setState(api::EngineState state) { state_ = state; }
  void setContextTokens(std::int64_t tokens) { contextTokens_ = tokens; }
  void setMaxLive(std::size_t requests) { maxLive_ = requests; }

  /// What was seen.
  [[nodiscard]] std::vector<api::TokenRequest> submitted() const TANDEM_EXCLUDES(mutex_);
  [[nodiscard]] std::size_t live() const TANDEM_EXCLUDES(mutex_);
  [[nodiscard]] std::uint64_t cancelled() const { return cancelled_; }

  /// Waits until `count` requests are live. False if that takes longer than `patience`.
  [[nodiscard]] bool waitForLive(std::size_t count,
                                 std::chrono::milliseconds patience = std::chrono::seconds(30))
      TANDEM_EXCLUDES(mutex_);

  /// Ends every live request as a draining engine does.
  void cancelAll() TANDEM_EXCLUDES(mutex_);

 private:
  struct Sequence;

  void run();
  void step(Sequence& sequence, MonotonicTime now) TANDEM_REQUIRES(mutex_);
  static void end(Sequence& sequence, api::FinishReason reason, std::optional<Error> error);

  const tokenizer::Tokenizer& tokenizer_;
  const FakeScript script_;
  std::atomic<api::EngineState> state_{api::EngineState::Ready};
  std::atomic<std::int64_t> contextTokens_{16384};
  std::atomic<std::size_t> maxLive_{64};
  std::atomic<std::uint64_t> cancelled_{0};

  mutable Mutex mutex_;
  Condition changed_;      // there is something to do for the thread
  Condition liveChanged_;  // requests came or went
  bool stopping_ TANDEM_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::unique_ptr<Sequence>> live_ TANDEM_GUARDED_BY(mutex_);
  std::vector<api::TokenRequest> submitted_ TANDEM_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tandem::testing
