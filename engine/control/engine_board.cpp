// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/engine_board.h"

#include <unistd.h>

#include <utility>

namespace tandem::control {

void EngineBoard::add(EngineEvent event) {
  const MutexLock lock(mutex_);
  if (const auto* move = std::get_if<api::StateEvent>(&event)) {
    state_ = move->state;
    if (state_ == api::EngineState::Ready) {
      endpoint_ = move->endpoint;
    } else if (state_ != api::EngineState::Draining) {
      endpoint_.clear();
    }
  }
  history_.add(std::move(event));
}

void EngineBoard::watch(const api::EngineClient* engine) {
  const MutexLock lock(engineMutex_);
  if (engine_ != nullptr) {
    lastInfo_ = engine_->info();
    lastStats_ = engine_->stats();
  }
  engine_ = engine;
}

api::EngineInfo EngineBoard::info() const {
  const MutexLock lock(engineMutex_);
  return engine_ != nullptr ? engine_->info() : lastInfo_;
}

std::shared_ptr<const api::EngineStats> EngineBoard::stats() const {
  const MutexLock lock(engineMutex_);
  return engine_ != nullptr ? engine_->stats() : lastStats_;
}

protocol::Hello EngineBoard::hello(std::uint64_t& stateNumber) const {
  protocol::Hello hello;
  hello.engine = identity_.version;
  hello.rank = identity_.rank;
  hello.pid = ::getpid();
  hello.info = info();
  hello.startedWallMs = identity_.startedWallMs;
  const MutexLock lock(mutex_);
  hello.state = state_;
  hello.endpoint = endpoint_;
  stateNumber = history_.lastNumber();
  return hello;
}

protocol::Status EngineBoard::status() const {
  protocol::Status status;
  status.info = info();
  status.stats = *stats();
  const MutexLock lock(mutex_);
  status.state = state_;
  status.endpoint = endpoint_;
  return status;
}

std::vector<NumberedEvent> EngineBoard::eventsAfter(const HistoryPosition& position,
                                                    bool phases,
                                                    std::size_t limit) const {
  const MutexLock lock(mutex_);
  return history_.after(position, phases, limit);
}

}  // namespace tandem::control
