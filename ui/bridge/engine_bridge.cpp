// SPDX-License-Identifier: GPL-3.0-or-later
// Connects EngineService with the view-models of header, Engine page and Monitor, and the chat.
#include "ui/bridge/engine_bridge.h"

#include <utility>

#include <QUrl>

#include "engine/base/clock.h"
#include "ui/bridge/chat_bridge.h"
#include "ui/bridge/engine_words.h"
#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/panel_view_model.h"

namespace tandem::ui {

EngineBridge::EngineBridge(const EngineViews& views,
                           QString cluster,
                           app::StartHistory* history,
                           QObject* parent)
    : QObject(parent),
      views_(views),
      cluster_(std::move(cluster)),
      history_(history) {
  frame_.setSingleShot(true);
  frame_.setInterval(kFrameMs);
  connect(&frame_, &QTimer::timeout, this, &EngineBridge::showStart);
  showReport({});
}

void EngineBridge::watch(app::EngineService& service) {
  using app::EngineService;
  connect(&views_.panel, &PanelViewModel::startRequested, &service, &EngineService::start);
  connect(&views_.panel, &PanelViewModel::stopRequested, &service, &EngineService::stop);
  connect(&service, &EngineService::reportChanged, this, [this, &service] {
    showReport(service.report());
  });
  connect(&service, &EngineService::startEventsChanged, this, [this, &service](bool restarted) {
    takeStartEvents(service.startEvents(), restarted);
  });
  connect(&service, &EngineService::statsArrived, this, &EngineBridge::addStats);
  connect(&service, &EngineService::logArrived, this, &EngineBridge::addLog);
  takeStartEvents(service.startEvents(), true);
  showReport(service.report());
}

void EngineBridge::showReport(const app::EngineReport& report) {
  const app::EngineReport before = std::exchange(report_, report);
  const bool started = views_.panel.engine().starting();
  showEngine();
  // A quick engine is Ready when it is first heard of; the events of its start follow.
  unkept_ = (unkept_ || (started && !report_.found)) && views_.panel.engine().ready();
  keepStart();
  showStart();
  showChat();
  sayNews(before);
}

void EngineBridge::takeStartEvents(const std::vector<api::PhaseEvent>& events, bool restarted) {
  if (restarted || events.size() < events_.size()) {
    events_.clear();
  }
  if (events_.empty()) {
    chooseUsual();
  }
  events_.insert(events_.end(),
                 events.begin() + static_cast<std::ptrdiff_t>(events_.size()),
                 events.end());
  keepStart();
  if (restarted) {
    showStart();
  } else if (!frame_.isActive()) {
    frame_.start();  // one picture, however many events come until then
  }
}

void EngineBridge::addStats(const api::EngineStats& stats) {
  stats_ = stats;
  showEngine();
  views_.monitor.addStats(stats);
}

void EngineBridge::addLog(const std::vector<LogRecord>& records) {
  for (const LogRecord& record : records) {
    views_.engine.addLog(record);
  }
}

void EngineBridge::showEngine() {
  const EngineSnapshot engine = snapshotOf(report_, cluster_, stats_);
  if (!engine.running()) {
    stats_.reset();
    views_.monitor.setLive(false);
  }
  views_.panel.setEngine(engine);
}

void EngineBridge::showStart() {
  const EngineSnapshot& engine = views_.panel.engine();
  const bool running = engine.starting() && !events_.empty();
  if (running) {
    frame_.start();
  } else {
    frame_.stop();
  }
  views_.engine.setStart(
      startRecordOf(events_, {running, engine.failed(), monotonicNanoseconds()}, usual_));
}

void EngineBridge::chooseUsual() {
  // Asked once, at the begin: what a start is compared with does not change when it ends.
  usual_ = history_ == nullptr ? app::UsualStart() : history_->usual({});
  if (report_.found && usual_.count == 1) {
    usual_ = {};  // that one may be the same start
  }
}

void EngineBridge::keepStart() {
  const std::optional<app::StartRun> run = app::startRunOf(events_);
  if (history_ == nullptr || !unkept_ || !run) {
    return;
  }
  unkept_ = false;
  const app::StartKind kind{QString::fromStdString(report_.info.modelName),
                            report_.info.ranks,
                            QString::fromStdString(report_.info.backend)};
  if (const Result<void> kept = history_->add(kind, *run); !kept) {
    views_.panel.say(sentenceOf(kept.error().message) + QLatin1Char(' ') +
                     sentenceOf(kept.error().remedy));
  }
}

void EngineBridge::showChat() {
  if (views_.chat == nullptr) {
    return;
  }
  const EngineSnapshot& engine = views_.panel.engine();
  if (engine.ready()) {
    views_.chat->setEndpoint(QUrl(engine.endpoint));
  } else if (engine.silent() || (engine.running() && !engine.starting())) {
    // A live answer comes over its own connection: it may well go on.
    views_.chat->finishUp(whyNoChat(report_));
  } else {
    views_.chat->clearEndpoint(whyNoChat(report_));
  }
}

void EngineBridge::sayNews(const app::EngineReport& before) {
  const EngineSnapshot& engine = views_.panel.engine();
  if (report_.found && engine.running() && report_.pid != announcedPid_) {
    announcedPid_ = report_.pid;
    views_.panel.say(foundSentence(report_));
  } else if (announcedPid_ != 0 && !engine.running() && !engine.silent()) {
    announcedPid_ = 0;
    views_.panel.say({});
  }
  // Of an engine that goes on running: what was asked of it could not be done.
  const bool failedAnew =
      report_.failure && (!before.failure || before.failure->message != report_.failure->message);
  if (failedAnew && engine.running()) {
    views_.panel.say(engine.failureText());
  }
}

}  // namespace tandem::ui
