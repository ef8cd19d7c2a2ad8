// SPDX-License-Identifier: GPL-3.0-or-later
// Decides what the next step computes: which sequences, which of their tokens, how many drafts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/runtime/draft_policy.h"
#include "engine/runtime/sequence.h"
#include "engine/runtime/step_cost_model.h"

namespace tandem::runtime {

/// How prompts share what a step has for them.
enum class PromptOrder {
  OldestFirst,     // first come, first served
  HalfToShortest,  // half to the oldest, the rest to the one with least left
  ShortestFirst,   // to the one with least left: a long one may starve
};

struct SchedulerLimits {
  int maxRunning = 6;            // sequences with a part of the cache; at most the cache's slots
  int maxQueued = 64;            // sequences that wait for one, preempted ones not counted
  int prefillChunkTokens = 256;  // most prompt tokens in one step
  int maxDrafts = 2;             // a sequence and step, 0 to kMostDrafts
  bool alwaysDraft = false;      // maxDrafts in every step, also where that is slower
  PromptOrder promptOrder = PromptOrder::HalfToShortest;

  /// While prompts are read, every answer still gets a token in this time, or half as many as
  /// without them if that is fewer …
  std::chrono::nanoseconds pace = std::chrono::milliseconds(66);
  /// … in every step, where a row of a prompt costs what it costs alone. Where few rows cost nearly
  /// as much as many (a GPU that reads the experts of each), only on average: a single step may
  /// last so long, before or after steps without prompts that make up for it. Up to the pace: no
  /// step may be longer than the pace, and prompts are read in small pieces at many times their
  /// price.
  std::chrono::nanoseconds longestStall = std::chrono::milliseconds(66);
};

/// A run of a sequence's tokens, from `position` on.
struct ScheduledChunk {
  Sequence* sequence = nullptr;
  std::int64_t position = 0;  // its fedTokens
  std::int64_t count = 0;     // known tokens
  int drafts = 0;             // to be drafted and verified behind them; 0 in prompts
  bool samples = false;       // it reaches the newest token, so that a further one is drawn
};

/// Answers first, then prompts. No sequence is in it twice.
struct SchedulerOutput {
  std::vector<ScheduledChunk> chunks;  // empty: nothing can be done until a call changes something
  StepShape shape;
  int admitted = 0;   // sequences that got their part of the cache for this step
  int preempted = 0;  // sequences that lost it
};

/// What may bring a sequence's prefix from elsewhere before it starts.
class PrefixSource {
 public:
  virtual ~PrefixSource() = default;

  /// Whether `sequence`, which could start now as far as its turn goes, should wait because its
  /// prefix is on its way; that may begin here. Must not be true for long: its place is kept free.
  ///
  /// reserveTokens  what it will ask of the cache, and what those who run are to find there
  [[nodiscard]] virtual bool isBringing(Sequence& sequence, std::int64_t reserveTokens) = 0;
};

/// Continuous batching. Every answer gets its row in every step; what time the step has left reads
/// prompts. All it chooses by is time: the tokens of a sequence do not depend on it.
///
/// One step, in this order:
///   const SchedulerOutput& step = scheduler.schedule();
///   operations = kv.takeOperations();             // of admissions, commits and preemptions
///   … the forward pass over step.chunks …
///   scheduler.committed(sequence, drawn);         // once for every chunk
///   scheduler.stepTook(duration);                 // once
/// Sequences may be removed, cancelled and submitted between steps, also after a forward pass that
/// failed, without committed() and stepTook() then.
///
/// Waiting sequences start in the order of their coming, preempted ones before all others. When the
/// cache is full the youngest running sequence gives up its part, of which the prefix cache keeps
/// what it can, and waits to go on; none ever fails for that. Engine thread.
class Scheduler {
 public:
  /// `kv` must outlive it, and only it may admit, commit or release there.
  Scheduler(const SchedulerLimits& limits,
            kvcache::KvCacheManager& kv,
            const StepCostPrior& prior = {});
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Asked before a sequence starts; null: nobody. Must outlive the scheduler.
  void setPrefixSource(PrefixSource* source) { source_ = source; }

  /// The longest sequence (prompt and answer) that the whole cache can hold. Any thread.
  [[nodiscard]] std::int64_t longestSequence() const { return longestSequence_; }

  /// Whether a sequence of up to `tokens` can ever run.
  ///
  /// Fails with OutOfRange: it is longer than longestSequence(); the message has both. Any thread.
  [[nodiscard]] Result<void> checkLength(std::int64_t tokens) const;

  /// Puts a sequence at the end of the queue and takes it; leaves it with the caller when it fails.
  /// Its tokens are the prompt, at least one; fedTokens is 0; maxTokens is above promptTokens.
  ///
  /// Fails with OutOfRange as checkLength(), with Unavailable when maxQueued are waiting.
  [[nodiscard]] Result<void> submit(std::unique_ptr<Sequence>& sequence);

  /// The next step's work; starts waiting sequences where there is room. Valid until the next call,
  /// its sequences until they are removed.
  [[nodiscard]] const SchedulerOutput& schedule();

  /// What became of a sequence's chunk in the step: its tokens are in the cache, `drawn` (none to
  /// drafts + 1) were appended to it. Extends `tokens` by them, and fedTokens to all but the last.
  ///
  /// drawn  without a stop token and what followed it. None is right for a chunk that does not
  ///        sample, or for a sequence that is removed before the next schedule().
  void committed(Sequence& sequence, std::span<const TokenId> drawn);

  /// How long the step took: the whole time between two of them while there is work.
  void stepTook(std::chrono::nanoseconds duration);

  /// Takes a sequence out, wherever it is; what it holds of the cache is free or a prefix at once.
  /// Null when there is none of this id.
  std::unique_ptr<Sequence> remove(const std::string& id);

  /// Null when there is none.
  [[nodiscard]] Sequence* find(const std::string& id);
  [[nodiscard]] Sequence* oldest();

  /// How many waiting sequences will start before this one; nothing when it does not wait.
  [[nodiscard]] std::optional<int> position(const std::string& id) const;

  /// Sequences whose deadline is not after `now`, for the caller to remove().
  [[nodiscard]] std::vector<Sequence*> expired(MonotonicTime now);
  /// When expired() will next have something. For the wait when there is nothing to do.
  [[nodiscard]] std::optional<MonotonicTime> nextDeadline() const;

  /// While false, no sequence starts. Those that have started go on, preempted ones too.
  void setAdmitting(bool admitting) { admitting_ = admitting; }
  [[nodiscard]] bool admitting() const { return admitting_; }

  [[nodiscard]] int running() const { return static_cast<int>(running_.size()); }
  [[nodiscard]] int waiting() const { return static_cast<int>(waiting_.size()); }
  [[nodiscard]] bool empty() const { return running_.empty() && waiting_.empty(); }
  [[nodiscard]] std::int64_t preemptions() const { return preemptions_; }

  /// Tokens whose state the model holds now.
  [[nodiscard]] std::int64_t fedTokens() const;

  /// What it has learned.
  [[nodiscard]] const StepCostModel& costs() const { return costs_; }
  [[nodiscard]] const DraftPolicy& drafts() const { return draftPolicy_; }

 private:
  using Queue = std::deque<std::unique_ptr<Sequence>>;

  /// Sees to it that every answer has room for its token, by preemption if need be.
  void reserveAnswers();
  void preempt(std::size_t index);
  void admitWaiting();
  bool admit(Sequence& sequence);
  void planAnswers();
  void planPrompts();
  [[nodiscard]] std::int64_t promptBudget() const;
  /// Gives a prompt up to `budget` tokens. Returns how many.
  std::int64_t planPrompt(Sequence& sequence, std::int64_t budget);

  const SchedulerLimits limits_;
  kvcache::KvCacheManager& kv_;
  PrefixSource* source_ = nullptr;
  const std::int64_t longestSequence_;
  StepCostModel costs_;
  DraftPolicy draftPolicy_;

  Queue running_;  // by arrival
  Queue waiting_;  // preempted ones by arrival, then the others
  bool admitting_ = true;
  std::uint64_t arrivals_ = 0;
  std::int64_t preemptions_ = 0;

  // Asking the cache in vain costs time that grows with the prompt: not again before something
  // left, or for a while.
  std::uint64_t refused_ = 0;  // the arrival that found no room; 0: none
  int stepsToAsk_ = 0;

  // Of the step under way.
  SchedulerOutput output_;
  std::vector<DraftCandidate> candidates_;
  std::vector<Sequence*> answers_;
  std::vector<Sequence*> prompts_;
  double answersAlone_ = 0;          // ms that it would take without prompts
  std::int64_t leastCommitted_ = 0;  // tokens of the answer that got the fewest

  double credit_ = 0;  // ms by which answers are ahead of their pace
};

}  // namespace tandem::runtime
