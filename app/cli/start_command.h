// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl start: starts the engine, tells of its phases and waits until it is ready.
#pragma once

#include <map>
#include <set>
#include <utility>

#include <QObject>
#include <QTimer>

#include "app/cli/cli_options.h"
#include "app/cli/interrupts.h"
#include "app/history/start_history.h"
#include "app/launcher/engine_service.h"

namespace tandem::cli {

/// Begins with the event loop, and ends it with the exit code.
class StartCommand : public QObject {
  Q_OBJECT

 public:
  explicit StartCommand(CliOptions options);

 private:
  void begin();
  void eventsChanged(bool restarted);
  void tell(const api::PhaseEvent& event);
  void reportChanged();
  void interrupt();
  void ready();
  /// Whether all events of the start are here, or will not be waited for any longer.
  [[nodiscard]] bool complete() const;
  void remember();
  void fail();
  void finish(int code);

  CliOptions options_;
  app::LocalEngineHost host_;
  Interrupts interrupts_;
  app::EngineService service_;
  app::StartHistory history_;
  app::UsualStart usual_;
  std::size_t told_ = 0;  // of the service's events
  std::map<std::pair<api::Phase, int>, std::int64_t> begun_;
  QTimer lateEvents_;  // runs while the engine is ready and events of its start are missing
  bool stopWaiting_ = false;
  bool saidFound_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
};

}  // namespace tandem::cli
