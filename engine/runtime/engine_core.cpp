// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/engine_core.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <random>
#include <utility>

#include "engine/base/thread_name.h"
#include "engine/runtime/memory_probe.h"
#include "engine/runtime/sampling_check.h"

namespace tandem::runtime {

namespace {

std::uint64_t drawSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | device();
}

api::RequestOutput progressOf(const Sequence& sequence) {
  api::RequestOutput output;
  output.usage.promptTokens = sequence.promptTokens;
  output.usage.cachedTokens = sequence.cachedTokens;
  output.usage.completionTokens = sequence.completionTokens();
  if (sequence.started) {
    output.timings.queued = *sequence.started - sequence.submitted;
  }
  if (sequence.firstToken) {
    output.timings.prefill = *sequence.firstToken - *sequence.started;
    output.timings.decode = *sequence.lastToken - *sequence.firstToken;
  }
  return output;
}

const char* finishName(api::FinishReason reason) {
  switch (reason) {
    case api::FinishReason::Stop:
      return "stopped";
    case api::FinishReason::Length:
      return "reached its length";
    case api::FinishReason::Cancelled:
      return "was cancelled";
    case api::FinishReason::Failed:
      return "failed";
  }
  return "failed";
}

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::create(const EngineCoreOptions& options,
                                                       MemoryBoard& memory,
                                                       Logger& logger,
                                                       api::EventSink& events) {
  Result<EventFd> wake = EventFd::create();
  Result<EventFd> ended = EventFd::create();
  if (!wake || !ended) {
    return wake ? ended.error() : wake.error();
  }
  return std::unique_ptr<EngineCore>(
      new EngineCore(options, memory, logger, events, *std::move(wake), *std::move(ended)));
}

EngineCore::EngineCore(const EngineCoreOptions& options,
                       MemoryBoard& memory,
                       Logger& logger,
                       api::EventSink& events,
                       EventFd wake,
                       EventFd ended)
    : options_(options),
      memory_(memory),
      logger_(logger),
      events_(events),
      wake_(std::move(wake)),
      ended_(std::move(ended)),
      stats_(std::chrono::steady_clock::now()),
      guard_(options.memoryGuard),
      snapshot_(std::make_shared<api::EngineStats>()),
      statsTask_(std::make_unique<PeriodicTask>("stats", options.statsInterval, [this] {
        publishStats();
      })) {
  publishStats();
}

EngineCore::~EngineCore() {
  drain(std::chrono::milliseconds(0));
  {
    const MutexLock lock(mutex_);
    inbox_.quit = true;
  }
  wake_.raise();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void EngineCore::start(LockstepRunner& runner,
                       api::EngineInfo info,
                       const comm::MeteredCommunicator* communication) {
  runner_ = &runner;
  communication_ = communication;
  weightBytes_ = runner.local().weightBytes();
  kvBytes_ = runner.local().cacheBytes();
  kv_ = std::make_unique<kvcache::KvCacheManager>(runner.settings().capacity,
                                                  options_.keepPrefixes,
                                                  runner.settings().maxDrafts);
  SchedulerLimits limits = options_.scheduler;
  limits.maxDrafts = std::min(limits.maxDrafts, static_cast<int>(runner.settings().maxDrafts));
  // checkRequest() bounds the queue; those that are about to run are in it too.
  limits.maxQueued += limits.maxRunning;
  scheduler_ = std::make_unique<Scheduler>(limits, *kv_);
  if (runner.disk() != nullptr && options_.keepPrefixes) {
    disk_ = std::make_unique<DiskTier>(
        runner,
        *kv_,
        logger_,
        [this] { wake_.raise(); },
        options_.disk);
    scheduler_->setPrefixSource(disk_.get());
  }
  {
    const MutexLock lock(mutex_);
    info_ = std::move(info);
    started_ = true;
  }
  thread_ = std::thread([this] { run(); });
}

void EngineCore::enterPhase(api::Phase phase) {
  const MutexLock lock(mutex_);
  if (state_ != api::EngineState::Starting) {
    return;
  }
  phase_ = phase;
  auto snapshot = std::make_shared<api::EngineStats>(*snapshot_);
  snapshot->phase = phase;
  snapshot_ = std::move(snapshot);
}

void EngineCore::announceReady(std::string endpoint) {
  moveTo(api::EngineState::Ready, std::move(endpoint), std::nullopt);
}

void EngineCore::drain(std::chrono::milliseconds deadline) {
  if (!moveTo(api::EngineState::Draining, {}, std::nullopt)) {
    if (moveTo(api::EngineState::Stopped, {}, std::nullopt)) {
      ended_.raise();
    }
    return;
  }
  {
    const MutexLock lock(mutex_);
    inbox_.drainBy = std::chrono::steady_clock::now() + deadline;
  }
  wake_.raise();
}

void EngineCore::fail(Error error) {
  bool started = false;
  {
    const MutexLock lock(mutex_);
    started = started_;
    inbox_.failure = error;
  }
  if (started) {
    wake_.raise();
  } else if (moveTo(api::EngineState::Failed, {}, std::move(error))) {
    ended_.raise();
  }
}

std::optional<Error> EngineCore::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

// What clients ask for
// ------------------------------------------------------------------------------

Result<void> EngineCore::checkRequest(const api::TokenRequest& request) const {
  if (state_ != api::EngineState::Ready) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("the engine is {}", api::engineStateName(state_)),
                 state_ == api::EngineState::Starting ? "Try again when it is ready." : ""};
  }
  if (request.prompt.empty()) {
    return Error{ErrorCode::InvalidArgument, "the prompt is empty", "Send at least one token."};
  }
  for (std::size_t i = 0; i < request.prompt.size(); ++i) {
    if (request.prompt[i] < 0 || request.prompt[i] >= info_.vocabSize) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("prompt token {} is {}; the vocabulary has ids 0 to {}",
                               i,
                               request.prompt[i],
                               info_.vocabSize - 1),
                   "Use the tokenizer of this model."};
    }
  }
  if (static_cast<std::int64_t>(request.prompt.size()) >= info_.contextTokens) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("the prompt has {} tokens; the context of {} tokens must hold it and "
                             "at least one token of the answer",
                             request.prompt.size(),
                             info_.contextTokens),
                 "Shorten the conversation, or start the engine with a longer context."};
  }
  if (Result<void> possible = checkSampling(request, info_.vocabSize); !possible) {
    return possible;
  }
  if (liveIds_.find(request.id) != liveIds_.end()) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("request id {} is already in use", request.id),
                 "Give every live request its own id."};
  }
  const std::size_t room = static_cast<std::size_t>(options_.scheduler.maxQueued) +
                           static_cast<std::size_t>(options_.scheduler.maxRunning);
  if (liveIds_.size() >= room) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("{} requests are waiting already", options_.scheduler.maxQueued),
                 "Try again in a few seconds."};
  }
  return {};
}

Result<std::shared_ptr<api::OutputQueue>> EngineCore::submit(api::TokenRequest request) {
  Result<std::shared_ptr<api::OutputQueue>> queue = api::OutputQueue::create();
  if (!queue) {
    return queue;
  }
  auto sequence = std::make_unique<Sequence>();
  // Outside the lock: with a repetition penalty a long prompt takes milliseconds.
  sequence->samplingState = SamplingState(request.sampling,
                                          request.thinking,
                                          request.prompt,
                                          static_cast<std::int64_t>(request.prompt.size()));
  {
    const MutexLock lock(mutex_);
    if (const Result<void> accepted = checkRequest(request); !accepted) {
      return accepted.error();
    }
    sequence->id = std::move(request.id);
    sequence->tokens = std::move(request.prompt);
    sequence->promptTokens = sequence->length();
    sequence->maxTokens = info_.contextTokens;
    if (request.sampling.maxTokens) {
      // Compared with what is left, because the sum could overflow.
      const std::int64_t left = info_.contextTokens - sequence->promptTokens;
      sequence->maxTokens = sequence->promptTokens + std::min(left, *request.sampling.maxTokens);
    }
    sequence->sampling = request.sampling;
    sequence->seed = request.sampling.seed ? *request.sampling.seed : drawSeed();
    sequence->stopTokens = std::move(request.stopTokens);
    sequence->boundaries = std::move(request.boundaries);
    sequence->output = *queue;
    sequence->submitted = std::chrono::steady_clock::now();
    if (const Result<void> fits = scheduler_->checkLength(sequence->maxTokens); !fits) {
      return fits.error();
    }
    liveIds_.insert(sequence->id);
    inbox_.submitted.push_back(std::move(sequence));
  }
  wake_.raise();
  return queue;
}

void EngineCore::cancel(const std::string& requestId) {
  {
    const MutexLock lock(mutex_);
    inbox_.cancelled.push_back(requestId);
  }
  wake_.raise();
}

api::EngineState EngineCore::state() const {
  const MutexLock lock(mutex_);
  return state_;
}

api::EngineInfo EngineCore::info() const {
  const MutexLock lock(mutex_);
  return info_;
}

std::shared_ptr<const api::EngineStats> EngineCore::stats() const {
  const MutexLock lock(mutex_);
  return snapshot_;
}

bool EngineCore::moveTo(api::EngineState next, std::string endpoint, std::optional<Error> error) {
  const MutexLock inOrder(eventMutex_);
  measureMemory();
  {
    const MutexLock lock(mutex_);
    if (!api::mayMove(state_, next)) {
      return false;
    }
    state_ = next;
    phase_.reset();
    failure_ = error;
    auto snapshot = std::make_shared<api::EngineStats>(*snapshot_);
    snapshot->state = next;
    snapshot->phase.reset();
    // Who asks just after Ready is told what the weights take, not what was there before them.
    snapshot->ranks = memory_.read();
    snapshot_ = std::move(snapshot);
  }
  events_.state(api::StateEvent{next, wallMilliseconds(), std::move(endpoint), std::move(error)});
  return true;
}

void EngineCore::measureMemory() {
  api::RankMemory own;
  own.rank = 0;
  own.weightBytes = weightBytes_;
  own.kvBytes = kvBytes_;
  readMemory(own, options_.proc);
  memory_.update(own);
}

void EngineCore::guardMemory() {
  const MemoryGuard::Decision decision =
      guard_.assess(memory_.figures(), std::chrono::steady_clock::now());
  const api::MemoryGuardStatus status{decision.state, decision.sentence};
  bool changed = false;
  {
    const MutexLock lock(mutex_);
    changed = guarded_.state != status.state;
    guarded_ = status;
    inbox_.admitting = decision.state == MemoryGuard::State::Normal;
    inbox_.shrinkByBytes += decision.shrinkByBytes;
  }
  if (changed) {
    logger_.write(decision.state == MemoryGuard::State::Normal ? LogLevel::Info : LogLevel::Warning,
                  "memory",
                  {},
                  fmt::format("{}: {}", api::memoryGuardStateName(status.state), status.sentence));
  }
  if (decision.state == MemoryGuard::State::Ending && changed) {
    fail(Error{ErrorCode::OutOfMemory, decision.sentence, decision.remedy});
  } else if (changed || decision.shrinkByBytes > 0) {
    wake_.raise();
  }
}

void EngineCore::publishStats() {
  measureMemory();
  guardMemory();
  auto snapshot =
      std::make_shared<api::EngineStats>(stats_.takeSnapshot(std::chrono::steady_clock::now()));
  snapshot->ranks = memory_.read();
  const MutexLock lock(mutex_);
  snapshot->state = state_;
  snapshot->phase = phase_;
  snapshot->memoryGuard = guarded_;
  snapshot_ = std::move(snapshot);
}

// The engine thread
// ---------------------------------------------------------------------------------

void EngineCore::run() {
  nameThisThread("engine");
  while (obeyInbox()) {
    if (const Result<void> done = scheduler_->empty() ? rest() : runStep(); !done) {
      fatal_ = done.error();
    }
  }
  conclude(fatal_);
}

bool EngineCore::obeyInbox() {
  Inbox inbox;
  {
    const MutexLock lock(mutex_);
    inbox = std::exchange(inbox_, Inbox{});
  }
  for (std::unique_ptr<Sequence>& sequence : inbox.submitted) {
    [[maybe_unused]] const Result<void> taken = scheduler_->submit(sequence);
    assert(taken);
  }
  for (const std::string& id : inbox.cancelled) {
    if (Sequence* sequence = scheduler_->find(id)) {
      finish(*sequence, api::FinishReason::Cancelled);
    }
  }
  if (inbox.admitting) {
    scheduler_->setAdmitting(*inbox.admitting);
  }
  if (inbox.shrinkByBytes > 0) {
    shrinkPrefixes(inbox.shrinkByBytes);
  }
  recordLoad();
  if (inbox.drainBy) {
    drainBy_ = inbox.drainBy;
  }
  if (inbox.failure) {
    fatal_ = std::move(inbox.failure);
  }
  if (runner_->peer() != nullptr && !fatal_) {
    fatal_ = runner_->peer()->health()->failure();
  }
  if (disk_ && !fatal_) {
    if (const Result<void> proceeded = disk_->proceed(std::chrono::steady_clock::now());
        !proceeded) {
      fatal_ = proceeded.error();
    }
  }
  const bool drained =
      drainBy_ && (scheduler_->empty() || std::chrono::steady_clock::now() >= *drainBy_);
  return !fatal_ && !inbox.quit && !drained;
}

void EngineCore::shrinkPrefixes(std::uint64_t bytes) {
  const std::uint64_t blockBytes = runner_->local().cache()->layout().blockBytes();
  const auto wanted = static_cast<std::int32_t>(
      std::min<std::uint64_t>(bytes / blockBytes + 1,
                              static_cast<std::uint64_t>(kv_->usage().blocks)));
  const std::int32_t given = kv_->shrink(wanted);
  logger_.warning("memory", "gave back {} of {} cache blocks asked for", given, wanted);
  if (scheduler_->running() == 0) {
    // No step is near that would carry the order.
    if (const Result<StepOutcome> told = runner_->step(takeOperations(), {}); !told) {
      fatal_ = told.error();
    }
  }
}

kvcache::CacheOperations EngineCore::takeOperations() {
  kvcache::CacheOperations operations = kv_->takeOperations();
  if (disk_) {
    disk_->select(operations);
  }
  return operations;
}

Result<bool> EngineCore::carryOutOperations() {
  if (!disk_ || !kv_->hasOperations()) {
    return false;
  }
  const Result<StepOutcome> done = runner_->step(takeOperations(), {});
  return done ? Result<bool>(true) : Result<bool>(done.error());
}

Result<void> EngineCore::rest() {
  const Result<bool> done = carryOutOperations();
  if (!done) {
    return done.error();
  }
  // A sequence may have waited for just that.
  if (!*done || scheduler_->empty()) {
    waitForWork();
  }
  return {};
}

void EngineCore::waitForWork() {
  const int healthFd = runner_->peer() != nullptr ? runner_->peer()->health()->failedFd() : -1;
  std::array<pollfd, 2> entries{pollfd{wake_.fd(), POLLIN, 0}, pollfd{healthFd, POLLIN, 0}};
  std::optional<MonotonicTime> until = drainBy_;
  if (const std::optional<MonotonicTime> due = disk_ ? disk_->deadline() : std::nullopt) {
    until = std::min(until.value_or(*due), *due);
  }
  ::poll(entries.data(), entries.size(), until ? pollTimeout(*until) : -1);
  wake_.clear();
}

Result<void> EngineCore::runStep() {
  const SchedulerOutput& plan = scheduler_->schedule();
  if (plan.chunks.empty()) {
    return rest();
  }
  recordLoad();  // before the step too: a long prompt's first one takes seconds
  const MonotonicTime begin = std::chrono::steady_clock::now();
  const auto communicated = [this] {
    return communication_ != nullptr ? communication_->elapsed() : std::chrono::nanoseconds(0);
  };
  const std::chrono::nanoseconds communicatedBefore = communicated();
  const Result<StepOutcome> outcome = forward(plan, begin);
  if (!outcome) {
    if (outcome.error().code != ErrorCode::OutOfRange) {
      return runner_->peer() != nullptr ? runner_->peer()->health()->explain(outcome.error())
                                        : outcome.error();
    }
    // The model refused the input and changed nothing: only these requests are lost.
    const std::vector<ScheduledChunk> lost = plan.chunks;
    for (const ScheduledChunk& scheduled : lost) {
      finish(*scheduled.sequence, api::FinishReason::Failed, outcome.error());
    }
    return {};
  }
  for (int i = 0; i < plan.preempted; ++i) {
    stats_.recordPreemption();
  }
  StepRecord record;
  for (const ScheduledChunk& scheduled : plan.chunks) {
    const std::int64_t promptTokens = scheduled.sequence->promptTokens;
    record.promptTokensFresh +=
        std::clamp<std::int64_t>(promptTokens - scheduled.position, 0, scheduled.count);
    record.decodeRows += scheduled.position >= promptTokens ? 1 : 0;
  }
  deliver(plan, *outcome, record);
  record.duration = std::chrono::steady_clock::now() - begin;
  record.communication = communicated() - communicatedBefore;
  scheduler_->stepTook(record.duration);
  stats_.recordStep(record);
  return {};
}

Result<StepOutcome> EngineCore::forward(const SchedulerOutput& plan, MonotonicTime now) {
  std::vector<StepChunk> chunks;
  chunks.reserve(plan.chunks.size());
  for (const ScheduledChunk& scheduled : plan.chunks) {
    Sequence& sequence = *scheduled.sequence;
    if (!sequence.started) {
      sequence.started = now;
      sequence.cachedTokens = sequence.kv->cachedTokens;
      stats_.recordAdmission(sequence.cachedTokens,
                             sequence.promptTokens,
                             now - sequence.submitted);
      if (disk_) {
        disk_->recordAdmission(sequence);
      }
    }
    chunks.push_back({.slot = sequence.kv->slot,
                      .position = scheduled.position,
                      .tokens = std::span(sequence.tokens)
                                    .subspan(static_cast<std::size_t>(scheduled.position),
                                             static_cast<std::size_t>(scheduled.count)),
                      .blocks = sequence.kv->blocks,
                      .logitRows = scheduled.samples ? 1 : 0,
                      .drafts = scheduled.drafts});
  }
  return runner_->step(takeOperations(), chunks);
}

void EngineCore::deliver(const SchedulerOutput& plan,
                         const StepOutcome& outcome,
                         StepRecord& record) {
  const auto vocabSize = static_cast<std::size_t>(runner_->local().vocabSize());
  std::span<const float> logits = outcome.logits;
  std::span<const TokenId> drafts = outcome.drafts;
  for (const ScheduledChunk& scheduled : plan.chunks) {
    if (!scheduled.samples) {
      scheduler_->committed(*scheduled.sequence, {});
      continue;
    }
    const auto guesses = static_cast<std::size_t>(scheduled.drafts);
    const std::span<const TokenId> guessed = drafts.first(guesses);
    DrawnTokens drawn =
        drawTokens(sampler_, *scheduled.sequence, logits.first((1 + guesses) * vocabSize), guessed);
    logits = logits.subspan((1 + guesses) * vocabSize);
    drafts = drafts.subspan(guesses);
    record.generatedTokens += static_cast<std::int64_t>(drawn.tokens.size());
    record.drafts += checkedDrafts(guessed, drawn.tokens);
    settle(*scheduled.sequence, std::move(drawn));
  }
}

void EngineCore::settle(Sequence& sequence, DrawnTokens drawn) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (!sequence.firstToken) {
    sequence.firstToken = now;
    stats_.recordFirstToken(now - sequence.submitted);
  } else {
    stats_.recordTokens(now - *sequence.lastToken);
  }
  sequence.lastToken = now;
  scheduler_->committed(sequence, drawn.tokens);
  if (!drawn.tokens.empty()) {
    api::RequestOutput output = progressOf(sequence);
    output.tokens = std::move(drawn.tokens);
    output.logprobs = std::move(drawn.logprobs);
    sequence.output->push(std::move(output));
  }
  if (drawn.finish) {
    finish(sequence, *drawn.finish, std::move(drawn.error));
  }
}

void EngineCore::finish(Sequence& sequence, api::FinishReason reason, std::optional<Error> error) {
  const std::unique_ptr<Sequence> owned = scheduler_->remove(sequence.id);
  {
    const MutexLock lock(mutex_);
    liveIds_.erase(owned->id);
  }
  stats_.recordFinish(reason, std::chrono::steady_clock::now() - owned->submitted);
  api::RequestOutput output = progressOf(*owned);
  output.finish = reason;
  output.error = std::move(error);
  logger_.write(output.error ? LogLevel::Warning : LogLevel::Info,
                "engine",
                owned->id,
                fmt::format("{} after {} prompt and {} answer tokens{}{}",
                            finishName(reason),
                            output.usage.promptTokens,
                            output.usage.completionTokens,
                            output.error ? ": " : "",
                            output.error ? output.error->message : ""));
  owned->output->push(std::move(output));
}

void EngineCore::finishAll(api::FinishReason reason, const std::optional<Error>& error) {
  while (Sequence* sequence = scheduler_->oldest()) {
    finish(*sequence, reason, error);
  }
}

void EngineCore::conclude(const std::optional<Error>& fatal) {
  // The move comes first: after it nobody can submit, so what the inbox holds is the last of it.
  if (fatal) {
    logger_.error("engine", "{}", fatal->text());
    moveTo(api::EngineState::Failed, {}, fatal);
  }
  {
    const MutexLock lock(mutex_);
    for (std::unique_ptr<Sequence>& sequence : inbox_.submitted) {
      [[maybe_unused]] const Result<void> taken = scheduler_->submit(sequence);
      assert(taken);
    }
    inbox_.submitted.clear();
  }
  finishAll(fatal ? api::FinishReason::Failed : api::FinishReason::Cancelled, fatal);
  if (!fatal) {
    if (const Result<bool> stored = carryOutOperations(); !stored) {
      logger_.warning("cache", "what ended last is not on the disk: {}", stored.error().message);
    }
  }
  recordLoad();
  if (!fatal) {
    moveTo(api::EngineState::Stopped, {}, std::nullopt);
  }
  ended_.raise();
}

void EngineCore::recordLoad() {
  const kvcache::KvUsage usage = kv_->usage();
  LoadRecord load;
  load.running = scheduler_->running();
  load.waiting = scheduler_->waiting();
  load.kvTokensUsed = std::int64_t{usage.liveBlocks} * kvcache::kBlockTokens;
  load.kvTokensCapacity = std::int64_t{usage.blocks} * kvcache::kBlockTokens;
  load.kvBlocks = {static_cast<int>(kvcache::kBlockTokens),
                   usage.blocks,
                   usage.liveBlocks,
                   usage.prefixBlocks,
                   usage.freeBlocks};
  load.prefixSnapshots = usage.usedSnapshots;
  if (disk_) {
    load.diskBytes = disk_->diskBytes();
    load.diskHitTokens = disk_->hitTokens();
  }
  stats_.recordLoad(load);
}

}  // namespace tandem::runtime
