// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace tandem::runtime {

namespace {

// An answer gets this much room with its prompt, so that admitting it is not followed by taking it
// out again.
constexpr std::int64_t kAnswerReserve = 1024;

// Steps until a sequence that found no room asks again though nothing left: what others commit may
// have become its prefix.
constexpr int kStepsBetweenAsking = 64;

// A small chunk now is as good as saving for a large one when it reads this share of the tokens in
// the same time.
constexpr double kGoodChunk = 0.7;

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::int64_t blocksFor(std::int64_t tokens) {
  return (tokens + kvcache::kBlockTokens - 1) / kvcache::kBlockTokens;
}

std::int64_t wantedTokens(const Sequence& sequence) {
  return std::min(sequence.maxTokens, sequence.length() + kAnswerReserve);
}

std::span<const TokenId> fedPart(const Sequence& sequence) {
  return std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.fedTokens));
}

bool isAnswer(const Sequence& sequence) {
  return sequence.unfedTokens() == 1;
}

/// How many of its tokens a prompt may feed when it is given up to `budget`.
std::int64_t chunkTokens(const Sequence& sequence, std::int64_t budget) {
  const std::int64_t from = sequence.fedTokens;
  const auto room = static_cast<std::int64_t>(sequence.kv->blocks.size()) * kvcache::kBlockTokens;
  const std::int64_t to = std::min({from + budget, sequence.length(), room});
  return to > from ? kvcache::KvCacheManager::chunkEnd(*sequence.kv, from, to) - from : 0;
}

SchedulerLimits withinCache(SchedulerLimits limits, const kvcache::CacheCapacity& capacity) {
  limits.maxRunning = std::min(limits.maxRunning, static_cast<int>(capacity.sequences));
  limits.prefillChunkTokens = std::max(limits.prefillChunkTokens, 1);
  return limits;
}

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits,
                     kvcache::KvCacheManager& kv,
                     const StepCostPrior& prior)
    : limits_(withinCache(limits, kv.capacity())),
      kv_(kv),
      longestSequence_(std::int64_t{kv.capacity().blocks} * kvcache::kBlockTokens),
      costs_(prior),
      draftPolicy_(limits.maxDrafts, limits.alwaysDraft) {}

Scheduler::~Scheduler() {
  for (std::unique_ptr<Sequence>& sequence : running_) {
    kv_.release(std::move(*sequence->kv), fedPart(*sequence));
  }
}

Result<void> Scheduler::checkLength(std::int64_t tokens) const {
  if (tokens <= longestSequence_) {
    return {};
  }
  return Error{ErrorCode::OutOfRange,
               fmt::format("the request needs room for {} tokens (prompt and answer); the whole "
                           "cache holds {}",
                           tokens,
                           longestSequence_),
               "Shorten the prompt, ask for fewer tokens, or start the engine with more memory for "
               "its cache."};
}

Result<void> Scheduler::submit(std::unique_ptr<Sequence>& sequence) {
  assert(sequence && !sequence->tokens.empty() && sequence->fedTokens == 0);
  if (Result<void> fits = checkLength(sequence->maxTokens); !fits) {
    return fits;
  }
  const auto firstNew = std::find_if(waiting_.begin(), waiting_.end(), [](const auto& waiting) {
    return waiting->scheduling.preemptions == 0;
  });
  if (waiting_.end() - firstNew >= limits_.maxQueued) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("{} requests are waiting already", limits_.maxQueued),
                 "Try again in a few seconds."};
  }
  sequence->scheduling = SchedulingState{};
  sequence->scheduling.arrival = ++arrivals_;
  waiting_.push_back(std::move(sequence));
  return {};
}

// A step
// ---------------------------------------------------------------------------------

const SchedulerOutput& Scheduler::schedule() {
  output_.chunks.clear();
  output_.shape = StepShape{};
  output_.admitted = 0;
  output_.preempted = 0;
  leastCommitted_ = 0;
  reserveAnswers();
  admitWaiting();
  planAnswers();
  planPrompts();
  return output_;
}

void Scheduler::reserveAnswers() {
  // The oldest first: what it needs may be taken from any after it. Prompts have theirs since their
  // admission.
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    const auto room = static_cast<std::int64_t>(sequence.kv->blocks.size()) * kvcache::kBlockTokens;
    if (sequence.length() <= room) {
      continue;
    }
    while (i < running_.size() && !kv_.reserve(*sequence.kv, sequence.length())) {
      preempt(running_.size() - 1);
    }
  }
}

void Scheduler::preempt(std::size_t index) {
  std::unique_ptr<Sequence> sequence = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  kv_.release(*std::exchange(sequence->kv, std::nullopt), fedPart(*sequence));
  sequence->fedTokens = 0;
  ++sequence->scheduling.preemptions;
  ++preemptions_;
  ++output_.preempted;
  const auto after = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& other) {
    return other->scheduling.preemptions == 0 ||
           other->scheduling.arrival > sequence->scheduling.arrival;
  });
  // What it gave up is spoken for: it need not ask for it in the same step.
  refused_ = sequence->scheduling.arrival;
  stepsToAsk_ = kStepsBetweenAsking;
  waiting_.insert(after, std::move(sequence));
}

void Scheduler::admitWaiting() {
  // Those whose prefixes are on their way, at the front of the queue.
  std::size_t passed = 0;
  while (passed < waiting_.size() && running() + static_cast<int>(passed) < limits_.maxRunning) {
    Sequence& next = *waiting_[passed];
    if (!admitting_ && next.scheduling.preemptions == 0) {
      return;
    }
    if (refused_ == next.scheduling.arrival && !running_.empty() && --stepsToAsk_ > 0) {
      return;
    }
    if (source_ != nullptr &&
        source_->isBringing(next, wantedTokens(next) + running() * kvcache::kBlockTokens)) {
      ++passed;
      continue;
    }
    if (!admit(next)) {
      refused_ = next.scheduling.arrival;
      stepsToAsk_ = kStepsBetweenAsking;
      return;
    }
    refused_ = 0;
    ++output_.admitted;
    const auto after = std::find_if(running_.begin(), running_.end(), [&](const auto& other) {
      return other->scheduling.arrival > next.scheduling.arrival;
    });
    running_.insert(after, std::move(waiting_[passed]));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(passed));
  }
}

bool Scheduler::admit(Sequence& sequence) {
  const std::int64_t wanted = wantedTokens(sequence);
  if (!running_.empty()) {
    // Those who run need another block each before long. To take it from them would be paid for
    // with a preemption.
    const kvcache::KvUsage usage = kv_.usage();
    const std::int64_t found = kv_.match(sequence.tokens) / kvcache::kBlockTokens;
    const std::int64_t left = usage.freeBlocks + usage.prefixBlocks - (blocksFor(wanted) - found);
    if (left < running()) {
      return false;
    }
  }
  sequence.kv = kv_.admit(sequence.tokens, sequence.boundaries, wanted);
  if (!sequence.kv) {
    return false;
  }
  sequence.fedTokens = sequence.kv->cachedTokens;
  sequence.scheduling.admittedTokens = sequence.length();
  return true;
}

void Scheduler::planAnswers() {
  answers_.clear();
  candidates_.clear();
  StepShape& shape = output_.shape;
  for (const std::unique_ptr<Sequence>& running : running_) {
    Sequence& sequence = *running;
    sequence.scheduling.plannedTokens = 0;
    sequence.scheduling.plannedDrafts = 0;
    assert(sequence.unfedTokens() > 0 && "a sequence that has ended was not removed");
    if (!isAnswer(sequence)) {
      continue;
    }
    answers_.push_back(&sequence);
    ++shape.decodeRows;
    shape.contextTokens += sequence.fedTokens;
    // At least one token of the answer is not drafted, and the drafter needs one before it.
    const std::int64_t left = sequence.maxTokens - sequence.length() - 1;
    const std::int64_t most =
        sequence.fedTokens == 0 ? 0 : std::clamp<std::int64_t>(left, 0, sequence.maxDrafts);
    candidates_.push_back(
        {&sequence.scheduling.drafts, static_cast<int>(most), sequence.fedTokens, 0});
  }
  if (answers_.empty()) {
    answersAlone_ = 0;
    return;
  }
  draftPolicy_.choose(candidates_, shape, costs_);
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    Sequence& sequence = *answers_[i];
    int drafts = candidates_[i].drafts;
    if (drafts > 0 && !kv_.reserve(*sequence.kv, sequence.length() + drafts)) {
      drafts = 0;
    }
    sequence.scheduling.plannedTokens = 1;
    sequence.scheduling.plannedDrafts = drafts;
    output_.chunks.push_back({&sequence, sequence.fedTokens, 1, drafts, true});
    shape.draftRows += drafts;
    shape.draftDepth = std::max(shape.draftDepth, drafts);
    shape.contextTokens += drafts * sequence.fedTokens;
  }
  answersAlone_ = costs_.predictMilliseconds(shape);
}

void Scheduler::planPrompts() {
  prompts_.clear();
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    if (!isAnswer(*sequence)) {
      prompts_.push_back(sequence.get());
    }
  }
  if (prompts_.empty()) {
    return;
  }
  std::int64_t budget = promptBudget();
  if (budget == 0) {
    return;
  }
  const auto less = [](const Sequence* a, const Sequence* b) {
    return a->unfedTokens() < b->unfedTokens();
  };
  switch (limits_.promptOrder) {
    case PromptOrder::OldestFirst:
      break;
    case PromptOrder::HalfToShortest: {
      Sequence& oldest = *prompts_.front();
      std::int64_t others = budget - chunkTokens(oldest, budget - budget / 2);
      std::stable_sort(prompts_.begin() + 1, prompts_.end(), less);
      for (std::size_t i = 1; i < prompts_.size() && others > 0; ++i) {
        const std::int64_t given = planPrompt(*prompts_[i], others);
        others -= given;
        budget -= given;
      }
      break;
    }
    case PromptOrder::ShortestFirst:
      std::stable_sort(prompts_.begin(), prompts_.end(), less);
      break;
  }
  for (std::size_t i = 0; i < prompts_.size() && budget > 0; ++i) {
    if (prompts_[i]->scheduling.plannedTokens == 0) {
      budget -= planPrompt(*prompts_[i], budget);
    }
  }
}

std::int64_t Scheduler::planPrompt(Sequence& sequence, std::int64_t budget) {
  const std::int64_t from = sequence.fedTokens;
  const std::int64_t count = chunkTokens(sequence, budget);
  if (count <= 0) {
    return 0;
  }
  sequence.scheduling.plannedTokens = count;
  output_.chunks.push_back({&sequence, from, count, 0, from + count == sequence.length()});
  output_.shape.prefillTokens += count;
  output_.shape.contextTokens += count * from + count * (count - 1) / 2;
  return count;
}

std::int64_t Scheduler::promptBudget() const {
  std::int64_t pending = 0;
  std::int64_t deepest = 0;
  std::int64_t shortest = prompts_.front()->unfedTokens();
  for (const Sequence* prompt : prompts_) {
    pending += prompt->unfedTokens();
    deepest = std::max(deepest, prompt->fedTokens);
    if (limits_.promptOrder != PromptOrder::OldestFirst) {
      shortest = std::min(shortest, prompt->unfedTokens());
    }
  }
  const std::int64_t most = std::min<std::int64_t>(pending, limits_.prefillChunkTokens);
  if (answers_.empty()) {
    return most;
  }
  const auto timeWith = [&](std::int64_t tokens) {
    StepShape shape = output_.shape;
    shape.prefillTokens += tokens;
    shape.contextTokens += tokens * deepest + tokens * (tokens - 1) / 2;
    return costs_.predictMilliseconds(shape);
  };
  const auto tokensWithin = [&](double time) {
    std::int64_t low = 0;
    std::int64_t high = most;
    while (low < high) {
      const std::int64_t middle = (low + high + 1) / 2;
      if (timeWith(middle) <= time) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  };
  const auto rate = [&](std::int64_t tokens) {
    return static_cast<double>(tokens) / std::max(timeWith(tokens) - answersAlone_, 1e-9);
  };
  const double allowance = std::max(milliseconds(limits_.pace), 2 * answersAlone_);
  const double stall = milliseconds(limits_.longestStall);
  const std::int64_t smooth = tokensWithin(allowance);
  if (stall <= allowance) {
    return std::max<std::int64_t>(smooth, 1);
  }
  // Where a row costs the same in a small chunk as in a large one, a bit in every step is as good
  // as much in one of them.
  const std::int64_t large = tokensWithin(stall);
  if (smooth >= large || (smooth > 0 && rate(smooth) >= kGoodChunk * rate(large))) {
    return std::max<std::int64_t>(smooth, 1);
  }
  // Where a few rows cost nearly as much as many (each reads its own experts), it pays to wait
  // until there is time for a large chunk.
  const std::int64_t now = tokensWithin(std::min(credit_ + allowance, stall));
  if (now >= large || (now > 0 && rate(now) >= kGoodChunk * rate(large))) {
    return now;
  }
  // The end of a prompt need not wait: it is paid for afterwards, by the next chunk.
  const std::int64_t whole = std::min(most, shortest * (prompts_.size() > 1 ? 2 : 1));
  if (whole <= large && timeWith(whole) <= credit_ + allowance + stall) {
    return whole;
  }
  return 0;
}

void Scheduler::committed(Sequence& sequence, std::span<const TokenId> drawn) {
  SchedulingState& state = sequence.scheduling;
  assert(sequence.kv && state.plannedTokens > 0);
  assert(drawn.size() <= static_cast<std::size_t>(state.plannedDrafts) + 1);
  const auto count = static_cast<std::int64_t>(drawn.size());
  const bool wasAnswer = isAnswer(sequence);
  sequence.tokens.insert(sequence.tokens.end(), drawn.begin(), drawn.end());
  sequence.fedTokens += state.plannedTokens + std::max<std::int64_t>(count - 1, 0);
  kv_.commit(*sequence.kv, sequence.tokens, state.admittedTokens, sequence.fedTokens);
  if (wasAnswer && count > 0) {
    draftPolicy_.observe(state.drafts, state.plannedDrafts, static_cast<int>(count) - 1);
    leastCommitted_ = leastCommitted_ == 0 ? count : std::min(leastCommitted_, count);
  }
  state.plannedTokens = 0;
  state.plannedDrafts = 0;
}

void Scheduler::stepTook(std::chrono::nanoseconds duration) {
  costs_.observe(output_.shape, duration);
  if (output_.shape.decodeRows == 0) {
    return;
  }
  const double pace = milliseconds(limits_.pace);
  const double cap = std::max(milliseconds(limits_.longestStall), pace);
  const double earned =
      std::max(pace * static_cast<double>(std::max<std::int64_t>(leastCommitted_, 1)),
               2 * answersAlone_);
  credit_ = std::clamp(credit_ + earned - milliseconds(duration), -cap, cap);
}

// Sequences
// ---------------------------------------------------------------------------------

std::unique_ptr<Sequence> Scheduler::remove(const std::string& id) {
  for (Queue* queue : {&running_, &waiting_}) {
    const auto found = std::find_if(queue->begin(), queue->end(), [&](const auto& sequence) {
      return sequence->id == id;
    });
    if (found == queue->end()) {
      continue;
    }
    std::unique_ptr<Sequence> sequence = std::move(*found);
    queue->erase(found);
    if (sequence->kv) {
      kv_.release(*std::exchange(sequence->kv, std::nullopt), fedPart(*sequence));
      refused_ = 0;
    }
    return sequence;
  }
  return nullptr;
}

Sequence* Scheduler::find(const std::string& id) {
  for (const Queue* queue : {&running_, &waiting_}) {
    for (const std::unique_ptr<Sequence>& sequence : *queue) {
      if (sequence->id == id) {
        return sequence.get();
      }
    }
  }
  return nullptr;
}

Sequence* Scheduler::oldest() {
  for (const Queue* queue : {&running_, &waiting_}) {
    if (!queue->empty()) {
      return queue->front().get();
    }
  }
  return nullptr;
}

std::optional<int> Scheduler::position(const std::string& id) const {
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i]->id == id) {
      return static_cast<int>(i);
    }
  }
  return std::nullopt;
}

std::vector<Sequence*> Scheduler::expired(MonotonicTime now) {
  std::vector<Sequence*> result;
  for (const Queue* queue : {&running_, &waiting_}) {
    for (const std::unique_ptr<Sequence>& sequence : *queue) {
      if (sequence->deadline && *sequence->deadline <= now) {
        result.push_back(sequence.get());
      }
    }
  }
  return result;
}

std::optional<MonotonicTime> Scheduler::nextDeadline() const {
  std::optional<MonotonicTime> first;
  for (const Queue* queue : {&running_, &waiting_}) {
    for (const std::unique_ptr<Sequence>& sequence : *queue) {
      if (sequence->deadline && (!first || *sequence->deadline < *first)) {
        first = sequence->deadline;
      }
    }
  }
  return first;
}

std::int64_t Scheduler::fedTokens() const {
  std::int64_t total = 0;
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    total += sequence->fedTokens;
  }
  return total;
}

}  // namespace tandem::runtime
