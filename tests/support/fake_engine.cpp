// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/fake_engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "engine/tokenizer/chat_markup.h"

namespace tandem::testing {

namespace {

/// What a request's reply says, less what its bias forbids.
std::vector<TokenId> tokensOf(std::vector<TokenId> tokens, const api::SamplingParams& sampling) {
  std::erase_if(tokens, [&sampling](TokenId token) {
    return std::find(sampling.logitBias.begin(),
                     sampling.logitBias.end(),
                     api::LogitBias{token, -100}) != sampling.logitBias.end();
  });
  return tokens;
}

/// Cuts the thinking short where its budget ends.
void endThinking(std::vector<TokenId>& tokens, const api::ThinkingBudget& budget) {
  const TokenId end = budget.endTokens.front();
  const auto natural = std::find(tokens.begin(), tokens.end(), end);
  if (budget.startsInside && natural - tokens.begin() > budget.tokens) {
    tokens.erase(tokens.begin() + budget.tokens, natural);
    if (static_cast<std::int64_t>(tokens.size()) == budget.tokens) {
      tokens.push_back(end);
    }
  }
}

api::TokenLogprobs logprobsOf(TokenId token, std::size_t n, int top) {
  api::TokenLogprobs logprobs{testing::fakeLogprob(n), {}};
  for (int i = 0; i < top; ++i) {
    logprobs.top.push_back({token + i, logprobs.logprob - i});
  }
  return logprobs;
}

}  // namespace

struct FakeEngine::Sequence {
  FakeReply reply;
  api::SamplingParams sampling;
  std::vector<TokenId> tokens;  // of reply.text
  std::int64_t maxTokens = 0;
  std::shared_ptr<api::OutputQueue> queue;
  api::RequestUsage usage;
  MonotonicTime submitted;
  MonotonicTime firstToken;
  MonotonicTime due;
  bool done = false;
};

FakeEngine::FakeEngine(const tokenizer::Tokenizer& tokenizer, FakeScript script)
    : tokenizer_(tokenizer),
      script_(std::move(script)),
      thread_([this] { run(); }) {}

FakeEngine::~FakeEngine() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<std::shared_ptr<api::OutputQueue>> FakeEngine::submit(api::TokenRequest request) {
  if (state_ != api::EngineState::Ready) {
    return Error{ErrorCode::Unavailable, "the fake engine is not ready", ""};
  }
  Result<std::shared_ptr<api::OutputQueue>> queue = api::OutputQueue::create();
  if (!queue) {
    return queue.error();
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->reply = script_(tokenizer_.decode(request.prompt));
  if (const auto& texts = sequence->reply.textsBySeed; !texts.empty()) {
    sequence->reply.text = texts[request.sampling.seed.value_or(0) % texts.size()];
  }
  sequence->sampling = request.sampling;
  Result<std::vector<TokenId>> tokens =
      tokenizer_.encode(sequence->reply.text, tokenizer::AddedTokens::Recognise);
  if (!tokens) {
    return tokens.error();
  }
  const auto promptTokens = static_cast<std::int64_t>(request.prompt.size());
  sequence->tokens = tokensOf(*std::move(tokens), request.sampling);
  if (request.thinking) {
    endThinking(sequence->tokens, *request.thinking);
  }
  sequence->maxTokens = request.sampling.maxTokens.value_or(contextTokens_ - promptTokens);
  sequence->queue = *queue;
  sequence->usage.promptTokens = promptTokens;
  sequence->usage.cachedTokens = std::min(sequence->reply.cachedTokens, promptTokens);
  sequence->submitted = std::chrono::steady_clock::now();
  sequence->due = sequence->submitted + sequence->reply.prefill;
  {
    const MutexLock lock(mutex_);
    if (live_.size() >= maxLive_) {
      return Error{ErrorCode::Unavailable,
                   fmt::format("the queue holds {} requests, which is its limit", live_.size()),
                   "Send it again later."};
    }
    submitted_.push_back(request);
    live_.emplace(request.id, std::move(sequence));
  }
  changed_.notify_all();
  liveChanged_.notify_all();
  return std::move(*queue);
}

void FakeEngine::cancel(const std::string& requestId) {
  const MutexLock lock(mutex_);
  const auto found = live_.find(requestId);
  if (found != live_.end()) {
    end(*found->second, api::FinishReason::Cancelled, {});
    live_.erase(found);
    ++cancelled_;
    liveChanged_.notify_all();
  }
}

void FakeEngine::cancelAll() {
  const MutexLock lock(mutex_);
  for (auto& [id, sequence] : live_) {
    end(*sequence, api::FinishReason::Cancelled, {});
  }
  live_.clear();
  liveChanged_.notify_all();
}

api::EngineInfo FakeEngine::info() const {
  api::EngineInfo info;
  info.modelName = "fake-v4";
  info.contextTokens = contextTokens_;
  info.vocabSize = tokenizer_.vocabSize();
  info.backend = "fake";
  info.numerics = "exact";
  info.fingerprint = "fake-0";
  return info;
}

std::shared_ptr<const api::EngineStats> FakeEngine::stats() const {
  auto stats = std::make_shared<api::EngineStats>();
  stats->state = state_;
  stats->running = static_cast<int>(live());
  return stats;
}

std::vector<api::TokenRequest> FakeEngine::submitted() const {
  const MutexLock lock(mutex_);
  return submitted_;
}

std::size_t FakeEngine::live() const {
  const MutexLock lock(mutex_);
  return live_.size();
}

bool FakeEngine::waitForLive(std::size_t count, std::chrono::milliseconds patience) {
  const MonotonicTime deadline = std::chrono::steady_clock::now() + patience;
  MutexLock lock(mutex_);
  while (live_.size() != count) {
    if (liveChanged_.wait_until(lock, deadline) == std::cv_status::timeout) {
      return live_.size() == count;
    }
  }
  return true;
}

void FakeEngine::run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    MonotonicTime next = std::chrono::steady_clock::now() + std::chrono::hours(1);
    const std::size_t before = live_.size();
    for (auto entry = live_.begin(); entry != live_.end();) {
      Sequence& sequence = *entry->second;
      const MonotonicTime now = std::chrono::steady_clock::now();
      if (sequence.due <= now) {
        step(sequence, now);
      }
      next = sequence.done ? next : std::min(next, sequence.due);
      entry = sequence.done ? live_.erase(entry) : std::next(entry);
    }
    if (live_.size() != before) {
      liveChanged_.notify_all();
    }
    changed_.wait_until(lock, next);
  }
}

/// Gives the next piece of one sequence.
void FakeEngine::step(Sequence& sequence, MonotonicTime now) {
  api::RequestOutput output;
  const std::int64_t before = sequence.usage.completionTokens;
  const auto made = static_cast<std::size_t>(before);
  std::size_t count = sequence.reply.tokensPerPiece;
  bool ended = false;
  if (!sequence.reply.endless) {
    count = std::min(count, sequence.tokens.size() - made);
    ended = made + count == sequence.tokens.size();
  }
  if (sequence.reply.failAfterTokens) {
    count = std::min(count, *sequence.reply.failAfterTokens - made);
  }
  count = std::min(count, static_cast<std::size_t>(sequence.maxTokens) - made);
  for (std::size_t i = made; i < made + count; ++i) {
    output.tokens.push_back(sequence.tokens[i % sequence.tokens.size()]);
    if (sequence.sampling.logprobs) {
      output.logprobs.push_back(logprobsOf(output.tokens.back(), i, sequence.sampling.topLogprobs));
    }
  }
  if (before == 0) {
    sequence.firstToken = now;
  }
  sequence.usage.completionTokens += static_cast<std::int64_t>(count);
  sequence.due = now + sequence.reply.perPiece;
  output.usage = sequence.usage;
  output.timings.prefill = sequence.firstToken - sequence.submitted;
  output.timings.decode = now - sequence.firstToken;
  if (sequence.reply.failAfterTokens == made + count) {
    output.finish = api::FinishReason::Failed;
    output.error = Error{ErrorCode::Internal, "rank 1 is gone", "Start the engine again."};
  } else if (ended) {
    output.finish = api::FinishReason::Stop;
  } else if (sequence.usage.completionTokens == sequence.maxTokens) {
    output.finish = api::FinishReason::Length;
  }
  sequence.done = output.finish.has_value();
  sequence.queue->push(std::move(output));
}

void FakeEngine::end(Sequence& sequence, api::FinishReason reason, std::optional<Error> error) {
  api::RequestOutput output;
  output.usage = sequence.usage;
  output.finish = reason;
  output.error = std::move(error);
  sequence.queue->push(std::move(output));
}

}  // namespace tandem::testing
