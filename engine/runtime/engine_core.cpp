// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/engine_core.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <array>
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
      snapshot_(std::make_shared<api::EngineStats>()),
      scheduler_(options.scheduler),
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
  const std::size_t room = static_cast<std::size_t>(options_.maxQueuedRequests) +
                           static_cast<std::size_t>(options_.scheduler.maxRunning);
  if (liveIds_.size() >= room) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("{} requests are waiting already", options_.maxQueuedRequests),
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
    liveIds_.insert(request.id);
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
    sequence->output = *queue;
    sequence->submitted = std::chrono::steady_clock::now();
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
  readMemory(own);
  memory_.update(own);
}

void EngineCore::publishStats() {
  measureMemory();
  auto snapshot =
      std::make_shared<api::EngineStats>(stats_.takeSnapshot(std::chrono::steady_clock::now()));
  snapshot->ranks = memory_.read();
  const MutexLock lock(mutex_);
  snapshot->state = state_;
  snapshot->phase = phase_;
  snapshot_ = std::move(snapshot);
}

// The engine thread
// ---------------------------------------------------------------------------------

void EngineCore::run() {
  nameThisThread("engine");
  while (obeyInbox()) {
    if (scheduler_.empty()) {
      waitForWork();
    } else if (const Result<void> done = runStep(); !done) {
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
    scheduler_.add(std::move(sequence));
  }
  for (const std::string& id : inbox.cancelled) {
    if (Sequence* sequence = scheduler_.find(id)) {
      finish(*sequence, api::FinishReason::Cancelled);
    }
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
  const bool drained =
      drainBy_ && (scheduler_.empty() || std::chrono::steady_clock::now() >= *drainBy_);
  return !fatal_ && !inbox.quit && !drained;
}

void EngineCore::waitForWork() {
  if (const Result<void> told = runner_->flush(); !told) {
    fatal_ = told.error();
    return;
  }
  const int healthFd = runner_->peer() != nullptr ? runner_->peer()->health()->failedFd() : -1;
  std::array<pollfd, 2> entries{pollfd{wake_.fd(), POLLIN, 0}, pollfd{healthFd, POLLIN, 0}};
  ::poll(entries.data(), entries.size(), drainBy_ ? pollTimeout(*drainBy_) : -1);
  wake_.clear();
}

Result<void> EngineCore::runStep() {
  const SchedulerOutput plan = scheduler_.schedule();
  if (!openSequences(plan)) {
    return {};
  }
  recordLoad();  // before the step too: a long prompt's first one takes seconds
  const MonotonicTime begin = std::chrono::steady_clock::now();
  const auto communicated = [this] {
    return communication_ != nullptr ? communication_->elapsed() : std::chrono::nanoseconds(0);
  };
  const std::chrono::nanoseconds communicatedBefore = communicated();
  StepRecord record;
  std::vector<PlannedChunk> chunks;
  for (const ScheduledChunk& scheduled : plan.chunks) {
    Sequence& sequence = *scheduled.sequence;
    if (!sequence.started) {
      sequence.started = begin;
    }
    const auto first = sequence.tokens.begin() + sequence.fedTokens;
    chunks.push_back({*sequence.slot, {first, first + scheduled.count}, scheduled.samples ? 1 : 0});
    record.promptTokens +=
        std::clamp<std::int64_t>(sequence.promptTokens - sequence.fedTokens, 0, scheduled.count);
    record.generatedTokens += scheduled.samples ? 1 : 0;
  }
  const Result<std::span<const float>> logits = runner_->step(std::move(chunks));
  if (!logits) {
    if (logits.error().code != ErrorCode::OutOfRange) {
      return runner_->peer() != nullptr ? runner_->peer()->health()->explain(logits.error())
                                        : logits.error();
    }
    // The model refused the input and changed nothing: only these requests are lost.
    for (const ScheduledChunk& scheduled : plan.chunks) {
      finish(*scheduled.sequence, api::FinishReason::Failed, logits.error());
    }
    return {};
  }
  deliver(plan, *logits);
  record.duration = std::chrono::steady_clock::now() - begin;
  record.communication = communicated() - communicatedBefore;
  stats_.recordStep(record);
  return {};
}

bool EngineCore::openSequences(const SchedulerOutput& plan) {
  for (const ScheduledChunk& scheduled : plan.chunks) {
    Sequence& sequence = *scheduled.sequence;
    if (sequence.slot) {
      continue;
    }
    const Result<SequenceSlot> slot = runner_->openSequence(sequence.maxTokens);
    if (!slot) {
      finish(sequence, api::FinishReason::Failed, slot.error());
      return false;
    }
    sequence.slot = *slot;
  }
  return true;
}

void EngineCore::deliver(const SchedulerOutput& plan, std::span<const float> logits) {
  const auto vocabSize = static_cast<std::size_t>(runner_->local().vocabSize());
  for (const ScheduledChunk& scheduled : plan.chunks) {
    Sequence& sequence = *scheduled.sequence;
    sequence.fedTokens += scheduled.count;
    if (!scheduled.samples) {
      continue;
    }
    const std::span<const float> row = logits.first(vocabSize);
    logits = logits.subspan(vocabSize);
    Result<SampledToken> sampled = sampler_.sample(row,
                                                   sequence.sampling,
                                                   sequence.samplingState,
                                                   sequence.seed,
                                                   sequence.length());
    if (sampled) {
      acceptToken(sequence, *std::move(sampled));
    } else {
      finish(sequence, api::FinishReason::Failed, sampled.error());
    }
  }
}

void EngineCore::acceptToken(Sequence& sequence, SampledToken sampled) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (!sequence.firstToken) {
    sequence.firstToken = now;
    stats_.recordFirstToken(now - sequence.submitted);
  }
  sequence.lastToken = now;
  const std::vector<TokenId>& stops = sequence.stopTokens;
  if (!sequence.sampling.ignoreEos &&
      std::find(stops.begin(), stops.end(), sampled.token) != stops.end()) {
    finish(sequence, api::FinishReason::Stop);
    return;
  }
  sequence.tokens.push_back(sampled.token);
  sequence.samplingState.accept(sampled.token);
  api::RequestOutput output = progressOf(sequence);
  output.tokens = {sampled.token};
  if (sampled.logprobs) {
    output.logprobs.push_back(*std::move(sampled.logprobs));
  }
  sequence.output->push(std::move(output));
  if (sequence.length() >= sequence.maxTokens) {
    finish(sequence, api::FinishReason::Length);
  }
}

void EngineCore::finish(Sequence& sequence, api::FinishReason reason, std::optional<Error> error) {
  const std::unique_ptr<Sequence> owned = scheduler_.remove(sequence.id);
  if (owned->slot) {
    runner_->closeSequence(*owned->slot);
  }
  {
    const MutexLock lock(mutex_);
    liveIds_.erase(owned->id);
  }
  stats_.recordFinish(reason);
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
  while (Sequence* sequence = scheduler_.oldest()) {
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
      scheduler_.add(std::move(sequence));
    }
    inbox_.submitted.clear();
  }
  finishAll(fatal ? api::FinishReason::Failed : api::FinishReason::Cancelled, fatal);
  recordLoad();
  if (!fatal) {
    // Rank 1 is about to get a goodbye; if it is gone already, that is its business now.
    [[maybe_unused]] const Result<void> told = runner_->flush();
    moveTo(api::EngineState::Stopped, {}, std::nullopt);
  }
  ended_.raise();
}

void EngineCore::recordLoad() {
  kvBytes_ = runner_->local().stateBytes();
  std::int64_t contextTokens = 0;
  {
    const MutexLock lock(mutex_);
    contextTokens = info_.contextTokens;
  }
  stats_.recordLoad({scheduler_.running(),
                     scheduler_.waiting(),
                     scheduler_.fedTokens(),
                     contextTokens * options_.scheduler.maxRunning});
}

}  // namespace tandem::runtime
