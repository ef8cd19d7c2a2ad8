// SPDX-License-Identifier: GPL-3.0-or-later
// Decides what the next step computes: which sequences, and which of their tokens.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "engine/runtime/sequence.h"

namespace tandem::runtime {

struct SchedulerLimits {
  int maxRunning = 1;            // sequences that hold model state at the same time
  int prefillChunkTokens = 256;  // prompt tokens in one step
};

/// A run of a sequence's tokens, from its `fedTokens` on. `samples` when it reaches the newest
/// token, so that a further one is chosen from its logits.
struct ScheduledChunk {
  Sequence* sequence = nullptr;
  std::int64_t count = 0;
  bool samples = false;
};

struct SchedulerOutput {
  std::vector<ScheduledChunk> chunks;  // empty when there is nothing to do
};

/// First come, first served. Answers go before prompts: every running sequence that has one token
/// to feed gets it in every step, and what the step has left for prompts goes to the oldest first.
/// Engine thread.
class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits)
      : limits_(limits) {}

  void add(std::unique_ptr<Sequence> sequence);

  /// The next step's work. Starts waiting sequences while there is room.
  [[nodiscard]] SchedulerOutput schedule();

  /// Null when there is none.
  [[nodiscard]] Sequence* find(const std::string& id);
  [[nodiscard]] Sequence* oldest();

  /// Takes a sequence out, wherever it is. Null when there is none of this id.
  std::unique_ptr<Sequence> remove(const std::string& id);

  [[nodiscard]] int running() const { return static_cast<int>(running_.size()); }
  [[nodiscard]] int waiting() const { return static_cast<int>(waiting_.size()); }
  [[nodiscard]] bool empty() const { return running_.empty() && waiting_.empty(); }

  /// Tokens whose state the model holds now.
  [[nodiscard]] std::int64_t fedTokens() const;

 private:
  using Queue = std::deque<std::unique_ptr<Sequence>>;

  const SchedulerLimits limits_;
  Queue running_;
  Queue waiting_;
};

}  // namespace tandem::runtime
