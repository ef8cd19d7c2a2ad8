// SPDX-License-Identifier: GPL-3.0-or-later
// One engine as the panel and tandemctl see it: found, started, watched and stopped.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <QObject>
#include <QString>

#include "app/launcher/engine_host.h"
#include "engine/api/engine_client.h"
#include "engine/api/engine_stats.h"
#include "engine/api/phase_event.h"
#include "engine/base/log.h"
#include "engine/base/result.h"

namespace tandem::app {

/// Whether there is an engine, and whether it answers.
enum class EngineLink {
  Absent,    // no engine of this host runs
  Spawning,  // it runs, and its control socket does not answer yet, or any more: `failure` has why
  Attached,  // connected: `state` is the engine's own word
  Lost,      // it was there and went away without saying so
};

/// What is known about the engine at this moment.
struct EngineReport {
  EngineLink link = EngineLink::Absent;
  api::EngineState state = api::EngineState::Stopped;
  std::int64_t pid = 0;
  QString endpoint;  // "http://127.0.0.1:8000/v1", "" before Ready
  api::EngineInfo info;
  std::optional<Error> failure;  // of the last start, or of a lost or failed engine
  bool found = false;            // it ran before this process looked
};

/// Passes on what the engine says over its control socket. An engine keeps running when this object
/// goes away. Reconnects by itself (with backoff) when the connection breaks and the process lives.
/// GUI thread; never blocks.
class EngineService : public QObject {
  Q_OBJECT
  Q_DISABLE_COPY_MOVE(EngineService)

 public:
  /// `host` must outlive it.
  explicit EngineService(EngineHost& host, QObject* parent = nullptr);
  ~EngineService() override;

  /// Looks for a running engine of the host and attaches to it. reportChanged() follows, also when
  /// there is none.
  void attach();

  /// Starts the engine and attaches. While one runs: attaches to that one.
  void start();

  /// Asks the engine to drain and end; while it is starting, cancels the start. A second call does
  /// not wait for open answers.
  void stop();

  [[nodiscard]] const EngineReport& report() const;

  /// Every phase event of the newest start, Spawn of our own included, in order; monotonicNs is
  /// this host's clock.
  [[nodiscard]] const std::vector<api::PhaseEvent>& startEvents() const;

  /// Why the last start() or stop() could not be carried out, as one sentence with its remedy, is
  /// in report().failure; nothing is thrown away silently.
 signals:
  void reportChanged();
  /// startEvents() grew; `restarted` when it was emptied before.
  void startEventsChanged(bool restarted);
  void statsArrived(const tandem::api::EngineStats& stats);
  void logArrived(const std::vector<tandem::LogRecord>& records);

 private:
  class Private;
  std::unique_ptr<Private> d_;
};

}  // namespace tandem::app
