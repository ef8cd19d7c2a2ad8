// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl status: what the engine does at this moment.
#pragma once

#include <QDeadlineTimer>
#include <QObject>
#include <QTimer>

#include "app/cli/cli_options.h"
#include "app/launcher/control_client.h"

namespace tandem::cli {

class StatusCommand : public QObject {
  Q_OBJECT

 public:
  explicit StatusCommand(CliOptions options);

  /// Needs a QCoreApplication. The exit code.
  int run();

 private:
  void ask();
  void tell(const protocol::Status& status);
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
