// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl status: what the engine does at this moment.
#pragma once

#include <QDeadlineTimer>
#include <QObject>
#include <QTimer>

#include "app/cli/cli_options.h"
#include "app/launcher/control_client.h"

namespace tandem::cli {

/// Begins with the event loop, and ends it with the exit code.
class StatusCommand : public QObject {
  Q_OBJECT

 public:
  explicit StatusCommand(CliOptions options);

 private:
  void ask();
  void tell(const protocol::Status& status) const;
  void tellNotRunning();
  void closed(const Error& why);
  void fail(const Error& error);

  CliOptions options_;
  app::LocalEngineHost host_;
  app::ControlClient client_;
  QTimer again_;
  QDeadlineTimer deadline_;
  std::int64_t pid_ = 0;
};

}  // namespace tandem::cli
