// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl: picks the subcommand; everything else is beside it.
#include <variant>

#include <QCoreApplication>

#include "app/cli/command_line.h"
#include "app/cli/logs_command.h"
#include "app/cli/start_command.h"
#include "app/cli/status_command.h"
#include "app/cli/stop_command.h"

int main(int argc, char** argv) {
  using namespace tandem::cli;
  QCoreApplication application(argc, argv);
  QCoreApplication::setApplicationName(QStringLiteral("tandemctl"));
  QCoreApplication::setApplicationVersion(QStringLiteral(TANDEM_VERSION));
  const std::variant<Command, int> parsed = parseCommandLine(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) {
    return *code;
  }
  const Command& command = std::get<Command>(parsed);
  switch (command.action) {
    case Action::Start:
      return StartCommand(command.options).run();
    case Action::Status:
      return StatusCommand(command.options).run();
    case Action::Stop:
      return StopCommand(command.options).run();
    case Action::Logs:
      return LogsCommand(command.options).run();
  }
  return kExitUsage;
}
