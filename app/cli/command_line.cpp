// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command_line.h"

#include <QString>

#include <CLI/CLI.hpp>

namespace tandem::cli {

namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done, 1 failed (stderr says why), 2 wrong command line, 3 status: no engine "
    "runs.\n"
    "With --json, status prints one object and the other commands one object a line.";

CLI::App* addCommand(CLI::App& app, const char* name, const char* summary, CliOptions& options) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->add_flag("--json", options.json, "print JSON instead of text");
  command->add_flag("--demo", options.demo, "the demo cluster on this machine (default)");
  return command;
}

}  // namespace

std::variant<Command, int> parseCommandLine(int argc, char** argv) {
  CLI::App app("Starts, watches and stops a Tandem engine without a display.", "tandemctl");
  app.set_version_flag("--version", "tandemctl " TANDEM_VERSION);
  app.require_subcommand(1);
  app.footer(kFooter);
  Command command;
  CliOptions& options = command.options;

  CLI::App* start = addCommand(app, "start", "start the engine, or find the running one", options);
  start->add_option_function<std::string>(
      "--model",
      [&options](const std::string& folder) {
        options.engine.modelFolder = QString::fromStdString(folder);
      },
      "folder of a DeepSeek-V4 checkpoint; default: the demo model");
  start->add_option("--port", options.engine.port, "port of the HTTP API; 0: any free one")
      ->capture_default_str();
  start->add_option("--ranks", options.engine.ranks, "processes that share the model")
      ->check(CLI::Range(1, 2))
      ->capture_default_str();
  start->add_flag("--wait,!--no-wait", options.wait, "wait until it is ready (default)");

  CLI::App* status = addCommand(app, "status", "say what the engine does", options);
  CLI::App* stop = addCommand(app, "stop", "end the engine and wait until it has ended", options);
  stop->add_flag("--force", options.force, "do not wait for answers that are being written");
  CLI::App* logs = addCommand(app, "logs", "print the engine's log", options);
  logs->add_flag("-f,--follow", options.follow, "go on with what is written from now on");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has a code for each kind of mistake; help and version are its success.
    return app.exit(error) == static_cast<int>(CLI::ExitCodes::Success) ? kExitOk : kExitUsage;
  }
  command.action = start->parsed()    ? Action::Start
                   : status->parsed() ? Action::Status
                   : stop->parsed()   ? Action::Stop
                                      : Action::Logs;
  (void)logs;
  return command;
}

}  // namespace tandem::cli
