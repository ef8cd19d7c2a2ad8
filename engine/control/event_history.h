// SPDX-License-Identifier: GPL-3.0-or-later
// What happened to the engine so far, in order: replayed to whoever comes later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <variant>
#include <vector>

#include "engine/api/event_sink.h"
#include "engine/api/phase_event.h"

namespace tandem::control {

using EngineEvent = std::variant<api::PhaseEvent, api::StateEvent>;

/// `number` grows by one with each event, over both kinds.
struct NumberedEvent {
  std::uint64_t number = 0;
  EngineEvent event;
};

/// How far a reader has come: the number of the last event of each kind that it took.
struct HistoryPosition {
  std::uint64_t phase = 0;
  std::uint64_t state = 0;
};

/// Keeps the moves of the state and the phases of both ranks. Of the progress of one phase only the
/// newest report stays, so a reader that lags is told less, not later. Not for several threads.
class EventHistory {
 public:
  static constexpr std::size_t kKept = 1024;  // a start of two ranks has about 60

  void add(EngineEvent event);

  [[nodiscard]] std::uint64_t lastNumber() const { return lastNumber_; }

  /// The events after `position`, oldest first, at most `limit`; phases only if wanted.
  [[nodiscard]] std::vector<NumberedEvent> after(const HistoryPosition& position,
                                                 bool phases,
                                                 std::size_t limit) const;

 private:
  std::uint64_t lastNumber_ = 0;
  std::deque<NumberedEvent> events_;
};

}  // namespace tandem::control
