// SPDX-License-Identifier: GPL-3.0-or-later
// The heart of rank 0: takes requests, runs steps, gives tokens back, until it is drained or fails.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "engine/api/engine_client.h"
#include "engine/api/event_sink.h"
#include "engine/base/event_fd.h"
#include "engine/base/log.h"
#include "engine/base/thread_annotations.h"
#include "engine/comm/metered_communicator.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/runtime/disk_tier.h"
#include "engine/runtime/lockstep_runner.h"
#include "engine/runtime/memory_board.h"
#include "engine/runtime/memory_guard.h"
#include "engine/runtime/periodic_task.h"
#include "engine/runtime/sampler.h"
#include "engine/runtime/scheduler.h"
#include "engine/runtime/stats_collector.h"
#include "engine/runtime/verification.h"

namespace tandem::runtime {

struct EngineCoreOptions {
  SchedulerLimits scheduler;
  bool keepPrefixes = true;
  DiskTierLimits disk;  // of a runner that has one
  api::MemoryGuardConfig memoryGuard;
  std::chrono::milliseconds statsInterval{1000};
  std::filesystem::path proc = "/proc";  // where this node's memory is read
};

/// Exists from process start, so that state and statistics can be asked for while the model loads;
/// start() gives it the model and its engine thread.
///
/// Thread   the public functions are for any thread. Everything about sequences belongs to the
///          engine thread; requests and cancellations reach it through `inbox_`.
class EngineCore final : public api::EngineClient {
 public:
  /// The referenced objects must outlive it. Fails with Unavailable without file descriptors.
  static Result<std::unique_ptr<EngineCore>> create(const EngineCoreOptions& options,
                                                    MemoryBoard& memory,
                                                    Logger& logger,
                                                    api::EventSink& events);

  /// Cancels what is left and joins the engine thread.
  ~EngineCore() override;
  EngineCore(const EngineCore&) = delete;
  EngineCore& operator=(const EngineCore&) = delete;

  /// Starts the engine thread. Once. The runner has its cache; `communication` may be null; both
  /// outlive this object.
  void start(LockstepRunner& runner,
             api::EngineInfo info,
             const comm::MeteredCommunicator* communication);

  /// Says in the statistics what the start is at. Ignored once it is over.
  void enterPhase(api::Phase phase) TANDEM_EXCLUDES(mutex_);

  /// Starting → Ready: requests are taken from now on.
  void announceReady(std::string endpoint);

  /// Ready → Draining: no new requests; running and waiting ones go on until `deadline` from now,
  /// then they are cancelled; then Stopped. From Starting straight to Stopped.
  void drain(std::chrono::milliseconds deadline);

  /// To Failed: every open request gets the error. For failures that others notice first.
  void fail(Error error);

  /// Polls readable once the state is Stopped or Failed and no request is open.
  [[nodiscard]] int endedFd() const { return ended_.fd(); }

  /// Why the state is Failed.
  [[nodiscard]] std::optional<Error> failure() const TANDEM_EXCLUDES(mutex_);

  // EngineClient
  Result<std::shared_ptr<api::OutputQueue>> submit(api::TokenRequest request) override;
  void cancel(const std::string& requestId) override;
  [[nodiscard]] api::EngineState state() const override TANDEM_EXCLUDES(mutex_);
  [[nodiscard]] api::EngineInfo info() const override TANDEM_EXCLUDES(mutex_);
  [[nodiscard]] std::shared_ptr<const api::EngineStats> stats() const override
      TANDEM_EXCLUDES(mutex_);

 private:
  /// What other threads want of the engine thread.
  struct Inbox {
    std::vector<std::unique_ptr<Sequence>> submitted;
    std::vector<std::string> cancelled;
    std::optional<MonotonicTime> drainBy;
    std::optional<Error> failure;
    std::optional<bool> admitting;    // what the memory guard allows
    std::uint64_t shrinkByBytes = 0;  // of the prefix cache, for the memory guard
    bool quit = false;
  };

  EngineCore(const EngineCoreOptions& options,
             MemoryBoard& memory,
             Logger& logger,
             api::EventSink& events,
             EventFd wake,
             EventFd ended);

  // Any thread.
  Result<void> checkRequest(const api::TokenRequest& request) const TANDEM_REQUIRES(mutex_);
  /// Moves the state and reports it, if mayMove() allows.
  bool moveTo(api::EngineState next, std::string endpoint, std::optional<Error> error)
      TANDEM_EXCLUDES(mutex_, eventMutex_);
  /// Puts rank 0's own figures on the memory board.
  void measureMemory();
  void publishStats() TANDEM_EXCLUDES(mutex_);
  /// Asks the memory guard, and passes on to the engine thread what it decides.
  void guardMemory() TANDEM_EXCLUDES(mutex_);

  // Engine thread.
  void run();
  /// Takes what other threads asked for. False when the loop must end.
  bool obeyInbox() TANDEM_EXCLUDES(mutex_);
  void shrinkPrefixes(std::uint64_t bytes);
  void waitForWork();
  [[nodiscard]] kvcache::CacheOperations takeOperations();
  /// For what no step is near to carry, so that it need not wait for the next request. Whether
  /// there was something.
  Result<bool> carryOutOperations();
  /// Waits for work, with nothing left undone.
  Result<void> rest();
  Result<void> runStep();
  Result<StepOutcome> forward(const SchedulerOutput& plan, MonotonicTime now);
  void deliver(const SchedulerOutput& plan, const StepOutcome& outcome, StepRecord& record);
  /// Hands over what a step drew for a sequence; ends it if that was the last.
  void settle(Sequence& sequence, DrawnTokens drawn);
  /// Sends the last piece, without tokens, and forgets the sequence.
  void finish(Sequence& sequence,
              api::FinishReason reason,
              std::optional<Error> error = std::nullopt) TANDEM_EXCLUDES(mutex_);
  void finishAll(api::FinishReason reason, const std::optional<Error>& error);
  void conclude(const std::optional<Error>& fatal);
  void recordLoad();

  const EngineCoreOptions options_;
  MemoryBoard& memory_;
  Logger& logger_;
  api::EventSink& events_;
  const EventFd wake_;
  const EventFd ended_;
  StatsCollector stats_;
  MemoryGuard guard_;  // one thread at a time: that of statistics, after the constructor

  Mutex eventMutex_;  // keeps state events in the order of the moves
  mutable Mutex mutex_;
  api::EngineState state_ TANDEM_GUARDED_BY(mutex_) = api::EngineState::Starting;
  std::optional<api::Phase> phase_ TANDEM_GUARDED_BY(mutex_);
  std::optional<Error> failure_ TANDEM_GUARDED_BY(mutex_);
  api::EngineInfo info_ TANDEM_GUARDED_BY(mutex_);
  std::shared_ptr<const api::EngineStats> snapshot_ TANDEM_GUARDED_BY(mutex_);
  Inbox inbox_ TANDEM_GUARDED_BY(mutex_);
  api::MemoryGuardStatus guarded_ TANDEM_GUARDED_BY(mutex_);
  bool started_ TANDEM_GUARDED_BY(mutex_) = false;
  std::unordered_set<std::string> liveIds_ TANDEM_GUARDED_BY(mutex_);

  // Engine thread.
  LockstepRunner* runner_ = nullptr;
  const comm::MeteredCommunicator* communication_ = nullptr;
  std::unique_ptr<kvcache::KvCacheManager> kv_;  // from start() on
  std::unique_ptr<DiskTier> disk_;               // from start() on, if the runner has a disk
  std::unique_ptr<Scheduler> scheduler_;
  Sampler sampler_;
  std::optional<MonotonicTime> drainBy_;
  std::optional<Error> fatal_;

  std::atomic<std::uint64_t> kvBytes_{0};  // start() writes, the statistics thread reads
  std::atomic<std::uint64_t> weightBytes_{0};

  std::thread thread_;
  std::unique_ptr<PeriodicTask> statsTask_;  // last: it uses everything above
};

}  // namespace tandem::runtime
