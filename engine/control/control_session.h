// SPDX-License-Identifier: GPL-3.0-or-later
// The conversation with one client: what it asked for, and what it has been told.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/log.h"
#include "engine/control/engine_board.h"
#include "engine/protocol/control_message.h"

namespace tandem::control {

/// Somebody wants the engine to end: after `drainSeconds`, or after the engine's default. `who` is
/// for the log.
using StopHandler = std::function<void(const std::string& who, std::optional<double> drainSeconds)>;

/// Speaks PROTOCOL.md without knowing of sockets. It pulls: the board, the log and the newest
/// statistics are read when there is room for them, so nothing queues for a client that lags, and
/// what is owed to it is known by three numbers. Not for several threads.
class ControlSession {
 public:
  /// `who` names the client's process for the log. The others must outlive the session.
  ControlSession(std::string who,
                 const EngineBoard& board,
                 const Logger& logger,
                 const StopHandler& stop);

  /// The reply to a line of the client.
  [[nodiscard]] std::string answer(std::string_view line);

  [[nodiscard]] bool wantsStats() const { return topics_.stats; }

  /// There may be a newer snapshot of the statistics than the one told last.
  void statsDue() { statsDue_ = topics_.stats; }

  /// The next events as lines, "" when there is nothing to tell. Call until then.
  [[nodiscard]] std::string nextEvents();

  /// Log records that were owed to this client are no longer kept: it cannot be told the truth.
  [[nodiscard]] bool lostRecords() const { return lostRecords_; }

  /// "tandem 0.1.0 (pid 12, uid 1000)"; the process alone before its hello.
  [[nodiscard]] const std::string& who() const { return who_; }

 private:
  struct Answer;

  [[nodiscard]] std::string nextHistory();
  [[nodiscard]] std::string nextStats();
  [[nodiscard]] std::string nextRecords();

  std::string who_;
  const EngineBoard& board_;
  const Logger& logger_;
  const StopHandler& stop_;

  bool greeted_ = false;
  protocol::Topics topics_;
  HistoryPosition position_;
  bool statsDue_ = false;
  std::shared_ptr<const api::EngineStats> lastStats_;  // told; held, so that a newer one differs
  std::uint64_t lastRecord_ = 0;
  bool recordsBegun_ = false;  // from here on a gap is a loss
  bool lostRecords_ = false;
};

}  // namespace tandem::control
