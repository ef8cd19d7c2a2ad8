// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/api/output_queue.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <utility>

namespace tandem::api {

Result<std::shared_ptr<OutputQueue>> OutputQueue::create() {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("could not make an eventfd for a request: {}", std::strerror(errno)),
                 "Raise the limit of open files (ulimit -n), or send fewer requests at once."};
  }
  return std::shared_ptr<OutputQueue>(new OutputQueue(std::move(event)));
}

void OutputQueue::push(RequestOutput output) {
  const MutexLock lock(mutex_);
  if (waiting_) {
    std::vector<TokenId> tokens = std::move(waiting_->tokens);
    tokens.insert(tokens.end(), output.tokens.begin(), output.tokens.end());
    output.tokens = std::move(tokens);
    std::vector<TokenLogprobs> logprobs = std::move(waiting_->logprobs);
    std::move(output.logprobs.begin(), output.logprobs.end(), std::back_inserter(logprobs));
    output.logprobs = std::move(logprobs);
  }
  waiting_ = std::move(output);
  const std::uint64_t one = 1;
  // Cannot fail: the counter is reset with every pop and one below 2^64 - 1 never blocks.
  [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
}

std::optional<RequestOutput> OutputQueue::pop() {
  const MutexLock lock(mutex_);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read = ::read(event_.get(), &count, sizeof count);
  return std::exchange(waiting_, std::nullopt);
}

std::optional<RequestOutput> OutputQueue::pop(std::chrono::milliseconds wait) {
  pollfd poll{event_.get(), POLLIN, 0};
  ::poll(&poll, 1, static_cast<int>(wait.count()));
  return pop();
}

}  // namespace tandem::api
