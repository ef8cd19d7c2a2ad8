// SPDX-License-Identifier: GPL-3.0-or-later
// One generation in progress.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/output_queue.h"
#include "engine/api/sampling_params.h"
#include "engine/base/clock.h"
#include "engine/base/token_id.h"
#include "engine/kvcache/kv_cache_manager.h"
#include "engine/runtime/draft_policy.h"
#include "engine/runtime/sampling_state.h"

namespace tandem::runtime {

/// What the scheduler keeps with a sequence. Others may read it.
struct SchedulingState {
  std::uint64_t arrival = 0;        // counts up: a smaller one came earlier
  int preemptions = 0;              // how often its part of the cache was taken from it
  std::int64_t admittedTokens = 0;  // length when it last got its part of the cache
  std::int64_t plannedTokens = 0;   // known tokens of its chunk in the step under way
  int plannedDrafts = 0;
  DraftHistory drafts;

  // What DiskTier knows of it.
  bool askedDisk = false;          // its turn has come: it is brought at most once
  std::int64_t diskTokens = -1;    // the longest prefix that the disk had; -1: nobody looked
  std::int64_t memoryTokens = -1;  // found in memory before the disk was asked; -1: it was not
};

/// Prompt and answer are one list; `fedTokens` says how far the model has read it, and everything
/// before is in the cache for good. Owned by the scheduler, used on the engine thread.
struct Sequence {
  // Set by who submits it, then left alone.
  std::string id;
  std::int64_t promptTokens = 0;
  std::int64_t maxTokens = 0;  // prompt and answer together
  api::SamplingParams sampling;
  std::uint64_t seed = 0;
  SamplingState samplingState;  // of `tokens`
  std::vector<TokenId> stopTokens;
  std::vector<std::int64_t> boundaries;  // of the prompt: where messages begin, ascending
  std::optional<MonotonicTime> deadline;
  int maxDrafts = kMostDrafts;  // 0: this one must not draft
  std::shared_ptr<api::OutputQueue> output;

  // Changed by the scheduler: Scheduler::committed().
  std::vector<TokenId> tokens;
  std::int64_t fedTokens = 0;
  std::optional<kvcache::SequenceKv> kv;  // while it runs
  SchedulingState scheduling;

  std::int64_t cachedTokens = 0;  // of the prompt, found in the cache when it first started

  MonotonicTime submitted;
  std::optional<MonotonicTime> started;     // first prefill step
  std::optional<MonotonicTime> firstToken;  // first answer token
  std::optional<MonotonicTime> lastToken;

  [[nodiscard]] std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  [[nodiscard]] std::int64_t unfedTokens() const { return length() - fedTokens; }
  [[nodiscard]] std::int64_t completionTokens() const { return length() - promptTokens; }
};

}  // namespace tandem::runtime
