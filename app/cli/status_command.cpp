// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/status_command.h"

#include <fmt/core.h>

#include <chrono>
#include <optional>
#include <utility>

#include <QCoreApplication>

#include "app/cli/command_json.h"
#include "app/cli/terminal.h"
#include "app/cli/words.h"
#include "app/launcher/obituary.h"
#include "app/launcher/output_tail.h"

namespace tandem::cli {

namespace {

using namespace std::chrono_literals;

// An engine that was just started has no socket yet.
constexpr auto kPatience = 5s;
constexpr auto kPause = 20ms;

}  // namespace

StatusCommand::StatusCommand(CliOptions options)
    : options_(std::move(options)),
      host_(options_.engine) {
  again_.setSingleShot(true);
  again_.setInterval(kPause);
  connect(&again_, &QTimer::timeout, this, &StatusCommand::ask);
  connect(&client_, &app::ControlClient::opened, this, [this] { client_.requestStatus(); });
  connect(&client_, &app::ControlClient::statusArrived, this, &StatusCommand::tell);
  connect(&client_, &app::ControlClient::refused, this, &StatusCommand::fail);
  connect(&client_, &app::ControlClient::closed, this, &StatusCommand::closed);
  deadline_.setRemainingTime(kPatience);
  QTimer::singleShot(0, this, &StatusCommand::ask);
}

void StatusCommand::ask() {
  const std::optional<app::EngineProcess> process = host_.find();
  if (!process) {
    tellNotRunning();
    return;
  }
  pid_ = process->pid;
  client_.open(process->controlSocket, {});
}

void StatusCommand::tell(const protocol::Status& status) const {
  if (options_.json) {
    printJson(statusJson(pid_, status));
  } else {
    printLine(statusText(pid_, status));
  }
  QCoreApplication::exit(kExitOk);
}

void StatusCommand::tellNotRunning() {
  const std::vector<QString> output = host_.lastOutput(app::kObituaryLines);
  const std::optional<app::EngineProcess> lost = host_.findLost();
  std::optional<Error> failure;
  if (lost) {
    failure = app::lostEngine(lost->pid, {}, output);
  } else if (const std::optional<QString> sentence = app::failureSentence(output)) {
    failure =
        Error{ErrorCode::Unavailable, sentence->toStdString(), ""}.within("the last engine failed");
  }
  if (options_.json) {
    QJsonObject object{{QStringLiteral("running"), false},
                       {QStringLiteral("lost"), lost.has_value()}};
    if (failure) {
      object[QStringLiteral("failure")] = errorJson(*failure);
    }
    printJson(object);
  } else {
    printLine("No engine of this user runs.");
    if (failure) {
      printError(*failure);
    }
  }
  QCoreApplication::exit(kExitNotRunning);
}

void StatusCommand::closed(const Error& why) {
  if (why.code == ErrorCode::Unavailable && !deadline_.hasExpired()) {
    again_.start();
    return;
  }
  fail(why);
}

void StatusCommand::fail(const Error& error) {
  const Error seen =
      error.within(fmt::format("the engine (pid {}) runs, but does not say what it does", pid_));
  if (options_.json) {
    printJson({{QStringLiteral("running"), true},
               {QStringLiteral("pid"), qint64{pid_}},
               {QStringLiteral("failure"), errorJson(seen)}});
  }
  printError(seen);
  QCoreApplication::exit(kExitFailed);
}

}  // namespace tandem::cli
