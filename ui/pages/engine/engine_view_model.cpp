// SPDX-License-Identifier: GPL-3.0-or-later
// Turns a start record into lanes, rows and sentences.
#include "ui/pages/engine/engine_view_model.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <QTimer>

#include "ui/shell/panel_view_model.h"
#include "ui/widgets/quantity.h"

namespace tandem::ui {

namespace {

constexpr int kLogBatchMs = 50;
constexpr int kClusterLane = -1;

/// Reach to Spawn are done by whoever starts the engine, for the cluster as a whole.
int laneOf(const StartPhase& phase) {
  return phase.phase <= api::Phase::Spawn ? kClusterLane : phase.rank;
}

BarState barState(const StartPhase& phase) {
  switch (phase.state) {
    case PhaseState::Running:
      return phase.lateSeconds && phase.end - phase.begin > *phase.lateSeconds ? BarState::Late
                                                                               : BarState::Running;
    case PhaseState::Done:
      return BarState::Done;
    case PhaseState::Failed:
      return BarState::Failed;
    case PhaseState::Skipped:
      return BarState::Skipped;
    case PhaseState::Cancelled:
      return BarState::Cancelled;
  }
  return BarState::Done;
}

/// The smallest round span that shows everything with some air on the right.
double roundSpan(double seconds) {
  for (const double span : {0.5, 1., 2., 3., 4., 5., 6., 8., 10., 15., 20., 30., 45., 60., 90.}) {
    if (seconds * 1.02 <= span) {
      return span;
    }
  }
  return std::ceil(seconds * 1.02 / 60) * 60;
}

QString barLabel(const StartPhase& phase) {
  const QString title = phaseTitle(phase.phase);
  if (phase.state == PhaseState::Running && phase.bytesTotal > 0) {
    const double percent = 100.0 * double(phase.bytesDone) / double(phase.bytesTotal);
    return EngineViewModel::tr("%1 %2 %").arg(title).arg(std::lround(percent));
  }
  if (phase.state == PhaseState::Done && phase.bytesDone > 0) {
    return QStringLiteral("%1 · %2").arg(title, bytesText(phase.bytesDone));
  }
  return title;
}

PhaseRow rowOf(const StartPhase& phase) {
  PhaseRow row;
  row.phase = phaseTitle(phase.phase);
  row.node = laneOf(phase) == kClusterLane ? EngineViewModel::tr("Cluster") : nodeTitle(phase.rank);
  row.state = barState(phase);
  row.startSeconds = phase.begin;
  row.tookSeconds = phase.end - phase.begin;
  row.usualSeconds = phase.usualSeconds;
  row.bytesDone = phase.bytesDone;
  row.bytesTotal = phase.bytesTotal;
  row.detail = phase.detail;
  return row;
}

}  // namespace

QString phaseTitle(api::Phase phase) {
  switch (phase) {
    case api::Phase::Reach:
      return EngineViewModel::tr("Reach nodes");
    case api::Phase::Preflight:
      return EngineViewModel::tr("Check nodes");
    case api::Phase::Link:
      return EngineViewModel::tr("Test link");
    case api::Phase::Deploy:
      return EngineViewModel::tr("Copy files");
    case api::Phase::Spawn:
      return EngineViewModel::tr("Start processes");
    case api::Phase::Connect:
      return EngineViewModel::tr("Connect");
    case api::Phase::Validate:
      return EngineViewModel::tr("Check model");
    case api::Phase::Weights:
      return EngineViewModel::tr("Load weights");
    case api::Phase::Mtp:
      return EngineViewModel::tr("Load draft head");
    case api::Phase::Kv:
      return EngineViewModel::tr("Reserve cache");
    case api::Phase::Graphs:
      return EngineViewModel::tr("Prepare kernels");
    case api::Phase::SelfTest:
      return EngineViewModel::tr("Self-test");
    case api::Phase::Api:
      return EngineViewModel::tr("Open API");
  }
  return {};
}

QString nodeTitle(int rank) {
  return rank == 0 ? EngineViewModel::tr("Head") : EngineViewModel::tr("Worker");
}

EngineViewModel::EngineViewModel(const PanelViewModel& panel, QObject* parent)
    : QObject(parent),
      panel_(panel) {
  connect(&panel_, &PanelViewModel::changed, this, &EngineViewModel::changed);
}

void EngineViewModel::setStart(StartRecord record) {
  record_ = std::move(record);
  rebuild();
  emit changed();
}

void EngineViewModel::addLog(const LogRecord& record) {
  if (pendingLog_.empty()) {
    QTimer::singleShot(kLogBatchMs, this, &EngineViewModel::flushLog);
  }
  pendingLog_.push_back(record);
}

void EngineViewModel::flushLog() {
  log_.append(pendingLog_);
  pendingLog_.clear();
}

void EngineViewModel::rebuild() {
  picture_ = {};
  laneRanks_.clear();
  barWallMs_.clear();
  std::map<int, std::size_t> laneIndex;
  const auto lane = [&](int rank) -> std::size_t {
    const auto found = laneIndex.find(rank);
    if (found != laneIndex.end()) {
      return found->second;
    }
    TimelineLane row;
    row.name = rank == kClusterLane ? tr("Cluster") : nodeTitle(rank);
    row.color = rank == kClusterLane ? &Palette::off
                : rank == 0          ? &Palette::head
                                     : &Palette::worker;
    picture_.lanes.push_back(row);
    laneRanks_.push_back(rank);
    barWallMs_.emplace_back();
    return laneIndex[rank] = picture_.lanes.size() - 1;
  };
  const auto ghost = [&](const StartPhase& phase) {
    if (phase.usualBegin && phase.usualSeconds) {
      picture_.lanes[lane(laneOf(phase))].ghosts.push_back(
          {*phase.usualBegin, *phase.usualBegin + *phase.usualSeconds});
    }
  };

  // Lanes stand in the same order in every start.
  std::vector<int> ranks;
  for (const auto* phases : {&record_.phases, &record_.expected}) {
    for (const StartPhase& phase : *phases) {
      ranks.push_back(laneOf(phase));
    }
  }
  std::sort(ranks.begin(), ranks.end());
  for (const int rank : ranks) {
    lane(rank);
  }

  double rightmost = std::max(record_.elapsed, record_.usualSeconds.value_or(0));
  std::vector<PhaseRow> rows;
  for (const StartPhase& phase : record_.phases) {
    const std::size_t at = lane(laneOf(phase));
    TimelineBar bar;
    bar.phase = phase.phase;
    bar.name = phaseTitle(phase.phase);
    bar.label = barLabel(phase);
    bar.state = barState(phase);
    bar.begin = phase.begin;
    bar.end = phase.state == PhaseState::Running ? record_.elapsed : phase.end;
    rightmost = std::max(rightmost, bar.end);
    picture_.lanes[at].bars.push_back(bar);
    barWallMs_[at].push_back(phase.beginWallMs);
    ghost(phase);
    rows.push_back(rowOf(phase));
    // Connecting is where both ranks must have arrived.
    if (phase.phase == api::Phase::Connect && phase.rank == 0 && phase.state == PhaseState::Done) {
      picture_.barriers.push_back(phase.end);
    }
  }
  for (const StartPhase& phase : record_.expected) {
    ghost(phase);
  }
  picture_.now = record_.elapsed;
  picture_.moving = record_.running;
  picture_.span = roundSpan(std::max(rightmost, 0.2));
  picture_.summary = headline() + QStringLiteral(". ") + sentence();
  phases_.setRows(std::move(rows));
}

QString EngineViewModel::headline() const {
  const EngineSnapshot& engine = panel_.engine();
  if (engine.link == app::EngineLink::Lost) {
    return tr("The engine went away");
  }
  if (engine.failed()) {
    return record_.ready ? tr("The engine stopped with an error")
                         : tr("The engine failed to start");
  }
  if (engine.silent()) {
    return tr("The engine does not answer");
  }
  if (engine.starting()) {
    return tr("Starting engine");
  }
  if (engine.ready()) {
    return tr("Engine is ready");
  }
  return engine.running() ? tr("Stopping engine") : tr("Engine is stopped");
}

QString EngineViewModel::sentence() const {
  const EngineSnapshot& engine = panel_.engine();
  if (engine.failed() || engine.silent()) {
    // Its last words stand in the log, unless it never came so far.
    const bool quote = !engine.lastWords.isEmpty() && log_.recordCount() == 0;
    return quote ? engine.failureText() + QLatin1Char('\n') + engine.lastWords
                 : engine.failureText();
  }
  if (engine.starting()) {
    const QString elapsed = durationText(record_.elapsed);
    const QString known =
        record_.usualSeconds
            ? tr("%1 of about %2.").arg(elapsed, durationText(*record_.usualSeconds))
            : tr("%1 elapsed.").arg(elapsed);
    const QString pace = paceSentence();
    return pace.isEmpty() ? known : known + QLatin1Char(' ') + pace;
  }
  if (engine.ready() && hasStart()) {
    const QString took = tr("Ready in %1").arg(durationText(record_.elapsed));
    if (!record_.usualSeconds) {
      return took + QLatin1Char('.');
    }
    const double difference = *record_.usualSeconds - record_.elapsed;
    if (std::abs(difference) < 0.05 * *record_.usualSeconds) {
      return tr("%1, as usual.").arg(took);
    }
    return difference > 0 ? tr("%1 (%2 faster than usual).").arg(took, durationText(difference))
                          : tr("%1 (%2 slower than usual).").arg(took, durationText(-difference));
  }
  if (engine.ready()) {
    return tr("It was running before this window opened.");
  }
  if (engine.running()) {
    return tr("Open answers are finished first; Stop now does not wait for them.");
  }
  return hasStart() ? tr("Below is the last start.")
                    : tr("Start it to load the model on both nodes and open the API.");
}

QString EngineViewModel::paceSentence() const {
  for (const StartPhase& phase : record_.phases) {
    if (barState(phase) == BarState::Late) {
      const double behind = phase.end - phase.begin - phase.usualSeconds.value_or(0);
      return tr("%1 is %2 behind its usual pace: %3.")
          .arg(nodeTitle(phase.rank), durationText(behind), phaseTitle(phase.phase));
    }
  }
  for (auto phase = record_.phases.rbegin(); phase != record_.phases.rend(); ++phase) {
    if (phase->state == PhaseState::Running) {
      return phase->detail.isEmpty() ? phaseTitle(phase->phase) + QLatin1Char('.')
                                     : tr("%1: %2.").arg(phaseTitle(phase->phase), phase->detail);
    }
  }
  return {};
}

std::int64_t EngineViewModel::wallMsOf(int lane, int bar) const {
  return barWallMs_.at(static_cast<std::size_t>(lane)).at(static_cast<std::size_t>(bar));
}

int EngineViewModel::rankOf(int lane) const {
  return laneRanks_.at(static_cast<std::size_t>(lane));
}

}  // namespace tandem::ui
