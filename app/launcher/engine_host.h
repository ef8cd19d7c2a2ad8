// SPDX-License-Identifier: GPL-3.0-or-later
// Where the processes of an engine live: started, stopped and found again without a window.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <QString>

#include "engine/base/result.h"

namespace tandem::app {

/// What an engine that was started, by this process or another, left behind to be found by.
struct EngineProcess {
  std::int64_t pid = 0;
  QString controlSocket;
};

/// LocalEngineHost (demo) runs `tandem-engine serve` as a process of this user; real nodes will
/// have a host over systemd. GUI thread; no call waits for the engine.
class EngineHost {
 public:
  virtual ~EngineHost() = default;

  /// "Demo cluster on this machine": what start() starts.
  [[nodiscard]] virtual QString name() const = 0;

  /// Starts the engine's processes, detached: they outlive this one.
  /// Fails    AlreadyExists when one of this host runs or is being started; NotFound without
  /// program or model;
  ///          PermissionDenied, Unavailable with the path and the reason
  virtual Result<EngineProcess> start() = 0;

  /// The running engine of this host, if there is one. Never one whose pid was given to another
  /// program since.
  [[nodiscard]] virtual std::optional<EngineProcess> find() const = 0;

  /// The engine of the newest start, when it is gone and did not say so: killed, or the machine
  /// went down. A host that cannot tell gives nothing.
  [[nodiscard]] virtual std::optional<EngineProcess> findLost() const { return std::nullopt; }

  /// Ends the engine when its control socket does not answer. `force` does not wait for open
  /// answers. Nothing runs: success.
  virtual Result<void> terminate(bool force) = 0;

  /// What the processes of the newest start printed, newest last: for a start that ended before its
  /// control socket was there.
  [[nodiscard]] virtual std::vector<QString> lastOutput(int lines) const = 0;
};

}  // namespace tandem::app
