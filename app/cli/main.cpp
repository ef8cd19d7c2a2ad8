// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl: picks the subcommand; everything else is beside it.
#include <memory>
#include <variant>

#include <QCoreApplication>

#include "app/cli/command_line.h"
#include "app/cli/logs_command.h"
#include "app/cli/start_command.h"
#include "app/cli/status_command.h"
#include "app/cli/stop_command.h"

namespace cli = tandem::cli;

namespace {

std::unique_ptr<QObject> make(const cli::Command& command) {
  switch (command.action) {
    case cli::Action::Start:
      return std::make_unique<cli::StartCommand>(command.options);
    case cli::Action::Status:
      return std::make_unique<cli::StatusCommand>(command.options);
    case cli::Action::Stop:
      return std::make_unique<cli::StopCommand>(command.options);
    case cli::Action::Logs:
      return std::make_unique<cli::LogsCommand>(command.options);
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const QCoreApplication application(argc, argv);
  QCoreApplication::setApplicationName(QStringLiteral("tandemctl"));
  QCoreApplication::setApplicationVersion(QStringLiteral(TANDEM_VERSION));
  const std::variant<cli::Command, int> parsed = cli::parseCommandLine(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) {
    return *code;
  }
  const std::unique_ptr<QObject> command = make(*std::get_if<cli::Command>(&parsed));
  return QCoreApplication::exec();
}
