// SPDX-License-Identifier: GPL-3.0-or-later
// What the control channel knows about its engine: threads of the engine write it, sessions read
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/engine_client.h"
#include "engine/base/thread_annotations.h"
#include "engine/control/event_history.h"
#include "engine/protocol/control_message.h"

namespace tandem::control {

/// What a process knows about itself from its first moment.
struct EngineIdentity {
  std::string version;
  int rank = 0;
  std::int64_t startedWallMs = 0;
};

/// The state shown is the one of the events, not the client's own: a session is told of every move
/// after the one its hello showed, and of no move twice. Any thread.
class EngineBoard {
 public:
  explicit EngineBoard(EngineIdentity identity)
      : identity_(std::move(identity)) {}

  void add(EngineEvent event) TANDEM_EXCLUDES(mutex_);

  /// The engine that info and statistics come from; null when there is none (yet, or any more). The
  /// last answers of one that is gone are kept. Once this returns the former one is not used.
  void watch(const api::EngineClient* engine) TANDEM_EXCLUDES(engineMutex_);

  /// Without `last_log_seq`. `stateNumber` becomes the number of the newest event: the state shown
  /// is the one after it.
  [[nodiscard]] protocol::Hello hello(std::uint64_t& stateNumber) const TANDEM_EXCLUDES(mutex_);
  [[nodiscard]] protocol::Status status() const TANDEM_EXCLUDES(mutex_, engineMutex_);
  /// The newest snapshot; another object when there is a newer one. Never null.
  [[nodiscard]] std::shared_ptr<const api::EngineStats> stats() const TANDEM_EXCLUDES(engineMutex_);

  [[nodiscard]] std::vector<NumberedEvent> eventsAfter(const HistoryPosition& position,
                                                       bool phases,
                                                       std::size_t limit) const
      TANDEM_EXCLUDES(mutex_);

 private:
  [[nodiscard]] api::EngineInfo info() const TANDEM_EXCLUDES(engineMutex_);

  const EngineIdentity identity_;

  mutable Mutex mutex_;
  EventHistory history_ TANDEM_GUARDED_BY(mutex_);
  api::EngineState state_ TANDEM_GUARDED_BY(mutex_) = api::EngineState::Starting;
  std::string endpoint_ TANDEM_GUARDED_BY(mutex_);

  // Held while the engine is asked: it answers at once and never calls back.
  mutable Mutex engineMutex_;
  const api::EngineClient* engine_ TANDEM_GUARDED_BY(engineMutex_) = nullptr;
  api::EngineInfo lastInfo_ TANDEM_GUARDED_BY(engineMutex_);
  std::shared_ptr<const api::EngineStats> lastStats_ TANDEM_GUARDED_BY(engineMutex_) =
      std::make_shared<api::EngineStats>();
};

}  // namespace tandem::control
