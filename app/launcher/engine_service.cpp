// SPDX-License-Identifier: GPL-3.0-or-later
// Puts together what the host, the process and the control socket say.
#include "app/launcher/engine_service.h"

#include <fmt/core.h>

#include <chrono>
#include <utility>

#include <QTimer>

#include "app/launcher/engine_connection.h"
#include "app/launcher/obituary.h"
#include "app/launcher/output_tail.h"
#include "app/launcher/process_watch.h"
#include "app/launcher/start_events.h"

namespace tandem::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kLastWords = 500ms;  // for what a process that has ended left in its connection
constexpr auto kHostBusy = 50ms;
constexpr int kMostHostTries = 100;

}  // namespace

class EngineService::Private {
 public:
  Private(EngineService& service, EngineHost& host);

  void attach();
  void start();
  void stop();

  EngineService& q;
  EngineHost& host;
  EngineReport report;
  StartEvents events;

 private:
  void startProcess();
  void followOther(const EngineProcess& process);
  void follow(const EngineProcess& process, bool found);
  void opened(const protocol::Hello& hello);
  void broken(const Error& why);
  void stateArrived(const api::StateEvent& event);
  void statusArrived(const protocol::Status& status);
  void processEnded(const QString& how);
  void conclude();
  void failSpawn(const Error& why);
  void endSpawn(api::PhaseEventKind kind, const std::string& detail);
  void terminate(bool force);
  void changed() { emit q.reportChanged(); }

  [[nodiscard]] bool running() const {
    return report.link == EngineLink::Spawning || report.link == EngineLink::Attached;
  }
  /// It has said that it ends, or has ended.
  [[nodiscard]] bool ending() const {
    return report.link == EngineLink::Attached && report.state != api::EngineState::Starting &&
           report.state != api::EngineState::Ready;
  }

  EngineConnection connection_;
  ControlClient& client_{connection_.client()};
  ProcessWatch watch_;
  QTimer hostBusy_;   // while another program starts an engine
  QTimer lastWords_;  // after the end of the process
  int hostTries_ = 0;
  bool reached_ = false;  // hello was answered once
  bool processGone_ = false;
  int stopsAsked_ = 0;
  bool startWhenGone_ = false;
  QString end_;  // "signal 9"
};

EngineService::Private::Private(EngineService& service, EngineHost& theHost)
    : q(service),
      host(theHost) {
  for (QTimer* timer : {&hostBusy_, &lastWords_}) {
    timer->setSingleShot(true);
  }
  hostBusy_.setInterval(kHostBusy);
  lastWords_.setInterval(kLastWords);
  connect(&hostBusy_, &QTimer::timeout, &q, [this] { startProcess(); });
  connect(&lastWords_, &QTimer::timeout, &q, [this] { conclude(); });
  connect(&connection_, &EngineConnection::broken, &q, [this](const Error& why) { broken(why); });
  connect(&connection_, &EngineConnection::silent, &q, [this](const Error& why) {
    report.link = EngineLink::Spawning;
    report.failure = why;
    changed();
  });
  connect(&watch_, &ProcessWatch::ended, &q, [this](const QString& how) { processEnded(how); });
  connect(&client_, &ControlClient::opened, &q, [this](const protocol::Hello& hello) {
    opened(hello);
  });
  connect(&client_, &ControlClient::refused, &q, [this](const Error& error) {
    report.failure = error;
    changed();
  });
  connect(&client_, &ControlClient::statusArrived, &q, [this](const protocol::Status& status) {
    statusArrived(status);
  });
  connect(&client_, &ControlClient::stateArrived, &q, [this](const api::StateEvent& event) {
    stateArrived(event);
  });
  connect(&client_, &ControlClient::phaseArrived, &q, [this](const api::PhaseEvent& event) {
    emit q.startEventsChanged(events.engineEvent(event));
  });
  connect(&client_, &ControlClient::statsArrived, &q, &EngineService::statsArrived);
  connect(&client_, &ControlClient::logArrived, &q, &EngineService::logArrived);
}

void EngineService::Private::attach() {
  if (running()) {
    changed();
    return;
  }
  if (const std::optional<EngineProcess> process = host.find()) {
    follow(*process, true);
    return;
  }
  report = EngineReport{};
  if (const std::optional<EngineProcess> lost = host.findLost()) {
    report.link = EngineLink::Lost;
    report.pid = lost->pid;
    report.state = api::EngineState::Failed;
    report.failure = lostEngine(lost->pid, {}, host.lastOutput(kObituaryLines));
  }
  changed();
}

void EngineService::Private::start() {
  if (running()) {
    // One on its way out is nothing to attach to.
    startWhenGone_ = ending();
    changed();
    return;
  }
  stopsAsked_ = 0;
  hostTries_ = 0;
  if (const std::optional<EngineProcess> other = host.find()) {
    followOther(*other);
    return;
  }
  report = EngineReport{};
  report.link = EngineLink::Spawning;
  report.state = api::EngineState::Starting;
  events.beginSpawn();
  emit q.startEventsChanged(true);
  startProcess();
}

void EngineService::Private::startProcess() {
  const Result<EngineProcess> process = host.start();
  if (process) {
    follow(*process, false);
    return;
  }
  if (const std::optional<EngineProcess> other = host.find()) {
    followOther(*other);
    return;
  }
  // Somebody else starts one at this moment, or it ended between the two questions above.
  if (process.error().code == ErrorCode::AlreadyExists && ++hostTries_ < kMostHostTries) {
    hostBusy_.start();
    changed();
    return;
  }
  report.link = EngineLink::Absent;
  report.state = api::EngineState::Failed;
  report.failure = process.error();
  failSpawn(process.error());
  changed();
}

/// In place of starting one. Should it be about to end, the start follows.
void EngineService::Private::followOther(const EngineProcess& process) {
  startWhenGone_ = true;
  events.clear();
  emit q.startEventsChanged(true);
  follow(process, true);
}

void EngineService::Private::follow(const EngineProcess& process, bool found) {
  report = EngineReport{};
  report.link = EngineLink::Spawning;
  report.state = api::EngineState::Starting;
  report.pid = process.pid;
  report.found = found;
  reached_ = false;
  processGone_ = false;
  end_.clear();
  changed();
  // A pid of 0 is a process this host cannot see.
  if (process.pid != 0 && !watch_.watch(process.pid)) {
    processEnded({});
    return;
  }
  connection_.open(process.controlSocket);
}

void EngineService::Private::opened(const protocol::Hello& hello) {
  reached_ = true;
  events.expectRetelling();
  report.link = EngineLink::Attached;
  report.state = hello.state;
  report.endpoint = QString::fromStdString(hello.endpoint);
  report.info = hello.info;
  report.failure.reset();
  startWhenGone_ = startWhenGone_ && ending();
  endSpawn(api::PhaseEventKind::End, fmt::format("pid {}", hello.pid));
  changed();
}

void EngineService::Private::broken(const Error& why) {
  if (processGone_) {
    conclude();
  } else if (stopsAsked_ > 0 && why.code == ErrorCode::Timeout) {
    terminate(stopsAsked_ > 1);  // it was asked over the connection and has not heard
  }
}

void EngineService::Private::stateArrived(const api::StateEvent& event) {
  if (event.state == api::EngineState::Ready) {
    // What it serves is known only now, and hello came before: Ready is reported with all of it.
    client_.requestStatus();
    return;
  }
  report.state = event.state;
  if (event.error) {
    report.failure = event.error;
  }
  changed();
}

void EngineService::Private::statusArrived(const protocol::Status& status) {
  report.state = status.state;
  report.endpoint = QString::fromStdString(status.endpoint);
  report.info = status.info;
  changed();
}

void EngineService::Private::stop() {
  startWhenGone_ = false;
  if (hostBusy_.isActive()) {
    hostBusy_.stop();
    report = EngineReport{};
    failSpawn(Error{ErrorCode::Cancelled, "cancelled", ""});
    changed();
    return;
  }
  if (!running()) {
    changed();
    return;
  }
  ++stopsAsked_;
  if (client_.isOpen()) {
    client_.requestStop(stopsAsked_ > 1 ? std::optional(0.0) : std::nullopt);
  } else {
    terminate(stopsAsked_ > 1);
  }
}

void EngineService::Private::terminate(bool force) {
  if (const Result<void> ended = host.terminate(force); !ended) {
    report.failure = ended.error();
    changed();
  }
}

void EngineService::Private::processEnded(const QString& how) {
  end_ = how;
  processGone_ = true;
  if (client_.isOpen()) {
    lastWords_.start();  // the end of the connection usually comes first
  } else {
    conclude();
  }
}

void EngineService::Private::conclude() {
  lastWords_.stop();
  connection_.close();
  const bool asked = stopsAsked_ > 0 || report.state == api::EngineState::Draining ||
                     report.state == api::EngineState::Stopped;
  const bool toldWhy = report.state == api::EngineState::Failed && report.failure;
  report.endpoint.clear();
  report.link = EngineLink::Absent;
  if (toldWhy) {
    failSpawn(*report.failure);
  } else if (asked) {
    report.state = api::EngineState::Stopped;
    report.failure.reset();
    failSpawn(Error{ErrorCode::Cancelled, "cancelled", ""});
  } else {
    const std::vector<QString> output = host.lastOutput(kObituaryLines);
    const bool lost = reached_ && !failureSentence(output);
    report.link = lost ? EngineLink::Lost : EngineLink::Absent;
    report.state = api::EngineState::Failed;
    report.failure =
        lost ? lostEngine(report.pid, end_, output) : failedStart(report.pid, end_, output);
    failSpawn(*report.failure);
  }
  stopsAsked_ = 0;
  changed();
  if (std::exchange(startWhenGone_, false)) {
    start();
  }
}

void EngineService::Private::failSpawn(const Error& why) {
  endSpawn(api::PhaseEventKind::Failed, why.message);
}

void EngineService::Private::endSpawn(api::PhaseEventKind kind, const std::string& detail) {
  if (events.endSpawn(kind, detail)) {
    emit q.startEventsChanged(false);
  }
}

EngineService::EngineService(EngineHost& host, QObject* parent)
    : QObject(parent),
      d_(std::make_unique<Private>(*this, host)) {}

EngineService::~EngineService() = default;

void EngineService::attach() {
  d_->attach();
}

void EngineService::start() {
  d_->start();
}

void EngineService::stop() {
  d_->stop();
}

const EngineReport& EngineService::report() const {
  return d_->report;
}

const std::vector<api::PhaseEvent>& EngineService::startEvents() const {
  return d_->events.events();
}

}  // namespace tandem::app
