// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/stop_command.h"

#include <fmt/core.h>

#include <chrono>
#include <utility>

#include <QCoreApplication>

#include "app/cli/command_json.h"
#include "app/cli/terminal.h"

namespace tandem::cli {

namespace {

using namespace std::chrono_literals;

constexpr auto kSilence = 1s;
// An engine gives open answers 20 s.
constexpr auto kPatience = 60s;
constexpr auto kForcedPatience = 5s;

}  // namespace

StopCommand::StopCommand(CliOptions options)
    : options_(std::move(options)),
      host_(options_.engine),
      service_(host_) {
  for (QTimer* timer : {&silent_, &patience_}) {
    timer->setSingleShot(true);
  }
  silent_.setInterval(kSilence);
  patience_.setInterval(options_.force ? kForcedPatience : kPatience);
  connect(&silent_, &QTimer::timeout, this, &StopCommand::ask);
  connect(&patience_, &QTimer::timeout, this, &StopCommand::patienceOver);
  connect(&service_, &app::EngineService::reportChanged, this, &StopCommand::reportChanged);
  // The second time somebody asks, answers that are being written are not waited for.
  connect(&interrupts_, &Interrupts::interrupted, &service_, &app::EngineService::stop);
  QTimer::singleShot(0, &service_, &app::EngineService::attach);
}

void StopCommand::reportChanged() {
  const app::EngineReport& report = service_.report();
  switch (report.link) {
    case app::EngineLink::Absent:
    case app::EngineLink::Lost:
      ended();
      return;
    case app::EngineLink::Spawning:
      pid_ = report.pid;
      if (!asked_ && !silent_.isActive()) {
        silent_.start();
      }
      return;
    case app::EngineLink::Attached:
      if (!asked_) {
        ask();
      }
      return;
  }
}

void StopCommand::ask() {
  asked_ = true;
  silent_.stop();
  patience_.start();
  service_.stop();
  if (options_.force) {
    service_.stop();
  }
}

void StopCommand::patienceOver() {
  if (options_.force && !killed_) {
    killed_ = true;
    patience_.start();
    if (const Result<void> ended = host_.terminate(true); !ended) {
      printError(ended.error());
      QCoreApplication::exit(kExitFailed);
    }
    return;
  }
  const Error error{ErrorCode::Timeout,
                    fmt::format("the engine (pid {}) has not ended within {} s",
                                pid_,
                                patience_.interval() / 1000),
                    options_.force ? "" : "Run tandemctl stop --force."};
  printError(error);
  QCoreApplication::exit(kExitFailed);
}

void StopCommand::ended() {
  const app::EngineReport& report = service_.report();
  const bool ran = pid_ != 0;
  QJsonObject object = eventJson(QStringLiteral("stopped"), pid_);
  object[QStringLiteral("was_running")] = ran;
  object[QStringLiteral("killed")] = killed_;
  const bool failed = ran && report.state == api::EngineState::Failed && report.failure;
  if (failed) {
    object[QStringLiteral("error")] = errorJson(*report.failure);
  }
  if (options_.json) {
    printJson(object);
  } else if (!ran) {
    printLine("No engine of this user runs.");
  } else if (killed_) {
    printLine(fmt::format("The engine (pid {}) did not end by itself and was killed.", pid_));
  } else if (!failed) {
    printLine(fmt::format("The engine (pid {}) has ended.", pid_));
  }
  if (failed) {
    printError(
        report.failure->within(fmt::format("the engine (pid {}) ended with a failure", pid_)));
  }
  QCoreApplication::exit(failed ? kExitFailed : kExitOk);
}

}  // namespace tandem::cli
