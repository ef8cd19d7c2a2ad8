// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl logs: the records an engine keeps, or the file of one that is gone.
#pragma once

#include <vector>

#include <QObject>

#include "app/cli/cli_options.h"
#include "app/launcher/control_client.h"

namespace tandem::cli {

/// Begins with the event loop, and ends it with the exit code.
class LogsCommand : public QObject {
  Q_OBJECT

 public:
  explicit LogsCommand(CliOptions options);

 private:
  void begin();
  void opened(const protocol::Hello& hello);
  void tell(const std::vector<LogRecord>& records);
  void closed(const Error& why);
  void tellFile();
  void print(const LogRecord& record) const;

  CliOptions options_;
  app::LocalEngineHost host_;
  app::ControlClient client_;
  std::uint64_t newestKept_ = 0;
  bool opened_ = false;
};

}  // namespace tandem::cli
