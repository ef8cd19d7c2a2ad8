// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl stop: ends the engine, waits until it has ended, says how.
#pragma once

#include <QObject>
#include <QTimer>

#include "app/cli/cli_options.h"
#include "app/cli/interrupts.h"
#include "app/launcher/engine_service.h"

namespace tandem::cli {

/// Begins with the event loop, and ends it with the exit code.
class StopCommand : public QObject {
  Q_OBJECT

 public:
  explicit StopCommand(CliOptions options);

 private:
  void reportChanged();
  void ask();
  void ended();
  void patienceOver();

  CliOptions options_;
  app::LocalEngineHost host_;
  Interrupts interrupts_;
  app::EngineService service_;
  QTimer silent_;    // until it is asked without its socket
  QTimer patience_;  // until it has ended
  std::int64_t pid_ = 0;
  bool asked_ = false;
  bool killed_ = false;
};

}  // namespace tandem::cli
