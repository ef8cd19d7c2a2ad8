// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/start_command.h"

#include <fmt/core.h>

#include <chrono>
#include <optional>

#include <QCoreApplication>
#include <QTimer>

#include "app/cli/command_json.h"
#include "app/cli/terminal.h"
#include "app/cli/words.h"
#include "app/launcher/standard_folders.h"

namespace tandem::cli {

namespace {

constexpr std::chrono::seconds kLateEvents{5};

}  // namespace

StartCommand::StartCommand(CliOptions options)
    : options_(std::move(options)),
      host_(options_.engine),
      service_(host_),
      history_(app::StartHistory::fileIn(app::stateFolder())) {
  usual_ = history_.usual({{}, options_.engine.ranks, {}});
  connect(&service_, &app::EngineService::startEventsChanged, this, &StartCommand::eventsChanged);
  connect(&service_, &app::EngineService::reportChanged, this, &StartCommand::reportChanged);
  connect(&interrupts_, &Interrupts::interrupted, this, &StartCommand::interrupt);
  lateEvents_.setSingleShot(true);
  lateEvents_.setInterval(kLateEvents);
  connect(&lateEvents_, &QTimer::timeout, this, [this] {
    stopWaiting_ = true;
    printError(
        {ErrorCode::Timeout,
         fmt::format("the engine is ready, but not all phases of its start were told within {} s; "
                     "this start does not count among the usual ones",
                     kLateEvents.count()),
         ""});
    reportChanged();
  });
  QTimer::singleShot(0, this, &StartCommand::begin);
}

void StartCommand::begin() {
  if (history_.warning()) {
    printError(*history_.warning());
  }
  service_.start();
}

void StartCommand::eventsChanged(bool restarted) {
  if (restarted) {
    told_ = 0;
    begun_.clear();
  }
  const std::vector<api::PhaseEvent>& events = service_.startEvents();
  while (told_ < events.size() && !finished_) {
    tell(events[told_++]);
  }
  if (lateEvents_.isActive()) {
    reportChanged();
  }
}

void StartCommand::tell(const api::PhaseEvent& event) {
  const std::pair key{event.phase, event.rank};
  std::optional<double> seconds;
  std::optional<double> usual;
  if (event.kind == api::PhaseEventKind::Begin) {
    begun_[key] = event.monotonicNs;
  } else if (const auto begin = begun_.find(key); begin != begun_.end()) {
    seconds = static_cast<double>(event.monotonicNs - begin->second) / 1e9;
    if (const std::optional<app::UsualPhase> known = usual_.find(event.phase, event.rank)) {
      usual = known->seconds;
    }
  }
  const bool over =
      event.kind == api::PhaseEventKind::End || event.kind == api::PhaseEventKind::Failed;
  if (options_.json) {
    printJson(phaseJson(event, over ? seconds : std::nullopt));
  } else if (event.kind != api::PhaseEventKind::Progress) {
    printLine("  " + phaseText(event, seconds, usual));
  }
}

void StartCommand::reportChanged() {
  if (finished_) {
    return;
  }
  const app::EngineReport& report = service_.report();
  if (report.found && !saidFound_) {
    saidFound_ = true;
    if (!options_.json) {
      printLine(fmt::format("An engine of this user runs already (pid {}).", report.pid));
    }
  }
  switch (report.link) {
    case app::EngineLink::Absent:
    case app::EngineLink::Lost:
      fail();
      return;
    case app::EngineLink::Spawning:
      if (report.failure) {
        fail();
      } else if (!options_.wait && report.pid != 0) {
        options_.json ? printJson(eventJson(QStringLiteral("started"), report.pid))
                      : printLine(fmt::format("The engine starts (pid {}).", report.pid));
        finish(kExitOk);
      }
      return;
    case app::EngineLink::Attached:
      if (report.state == api::EngineState::Ready) {
        if (complete()) {
          ready();
        } else if (!lateEvents_.isActive()) {
          lateEvents_.start();
        }
      }
      return;
  }
}

bool StartCommand::complete() const {
  // A quick engine is Ready when it is first heard of; the events of its start follow.
  return stopWaiting_ || service_.report().found || app::startRunOf(service_.startEvents());
}

void StartCommand::ready() {
  const app::EngineReport& report = service_.report();
  const std::string endpoint = report.endpoint.toStdString();
  if (!report.found) {
    remember();
  }
  if (options_.json) {
    QJsonObject object = eventJson(QStringLiteral("ready"), report.pid);
    object[QStringLiteral("endpoint")] = report.endpoint;
    object[QStringLiteral("found")] = report.found;
    object[QStringLiteral("info")] = infoJson(report.info);
    printJson(object);
  } else {
    printLine(fmt::format("Ready (pid {}): {}\nendpoint   {}\ntry        {}",
                          report.pid,
                          infoText(report.info),
                          endpoint,
                          curlText(endpoint)));
  }
  finish(kExitOk);
}

void StartCommand::remember() {
  const std::optional<app::StartRun> run = app::startRunOf(service_.startEvents());
  const api::EngineInfo& info = service_.report().info;
  if (!run || info.modelName.empty()) {
    return;
  }
  const app::StartKind kind{QString::fromStdString(info.modelName),
                            info.ranks,
                            QString::fromStdString(info.backend)};
  if (const Result<void> added = history_.add(kind, *run); !added) {
    printError(added.error());
  }
}

void StartCommand::fail() {
  const app::EngineReport& report = service_.report();
  if (cancelled_ && report.state == api::EngineState::Stopped) {
    options_.json ? printJson(eventJson(QStringLiteral("cancelled"), report.pid))
                  : printLine("The start was cancelled; no engine runs.");
    finish(kExitFailed);
    return;
  }
  const Error error =
      report.failure
          ? *report.failure
          : Error{ErrorCode::Cancelled,
                  fmt::format("the engine (pid {}) was stopped while it started", report.pid),
                  "Start it again."};
  if (options_.json) {
    QJsonObject object = eventJson(QStringLiteral("failed"), report.pid);
    object[QStringLiteral("error")] = errorJson(error);
    printJson(object);
  }
  printError(error);
  finish(kExitFailed);
}

void StartCommand::interrupt() {
  if (service_.report().found) {
    // Somebody else's start: only the waiting is ours.
    printError({ErrorCode::Cancelled, "not waiting any longer; the engine goes on starting", ""});
    finish(kExitFailed);
    return;
  }
  if (!cancelled_ && !options_.json) {
    printLine("Cancelling the start.");
  }
  cancelled_ = true;
  service_.stop();
}

void StartCommand::finish(int code) {
  finished_ = true;
  QCoreApplication::exit(code);
}

}  // namespace tandem::cli
