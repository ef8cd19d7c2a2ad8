// SPDX-License-Identifier: GPL-3.0-or-later
// Appends statistics to series and writes the tiles.
#include "ui/pages/monitor/monitor_view_model.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "ui/widgets/quantity.h"

namespace tandem::ui {

namespace {

/// Fewer than this many are told as what they are, not as a percentile.
constexpr std::uint64_t kEnoughForPercentiles = 20;

QString tr(const char* text) {
  return MonitorViewModel::tr(text);
}

QString durationOf(const api::DurationStats& stats) {
  return stats.recent ? durationText(stats.recent->medianSeconds) : unknownQuantity();
}

QString noteOf(const api::DurationStats& stats) {
  if (!stats.recent) {
    return tr("none in the last minute");
  }
  const QString count = countText(static_cast<std::int64_t>(stats.recent->count));
  return stats.recent->count < kEnoughForPercentiles
             ? tr("median of %1, last minute").arg(count)
             : tr("median of %1; p95 %2").arg(count, durationText(stats.recent->p95Seconds));
}

/// Who comes late to the ends of steps, and by how much.
QString lagText(double seconds) {
  return seconds < 0 ? tr("of steps, head +%1").arg(durationText(-seconds))
                     : tr("of steps, worker +%1").arg(durationText(seconds));
}

}  // namespace

void MonitorViewModel::addStats(const api::EngineStats& stats) {
  last_ = stats;
  const double now = double(stats.wallMs) / 1000;
  const auto append = [now](std::vector<MetricPoint>& series, double value) {
    // The same snapshot may be sent twice: whoever measures and whoever sends count their own
    // seconds. A restarted engine or a stepped clock must not draw a line backwards.
    if (!series.empty() && now == series.back().seconds) {
      series.pop_back();
    } else if (!series.empty() && now < series.back().seconds) {
      series.clear();
    }
    series.push_back({now, value});
    const auto old = std::find_if(series.begin(), series.end(), [now](const MetricPoint& point) {
      return point.seconds >= now - kWindowSeconds;
    });
    series.erase(series.begin(), old);
  };
  append(series_[Decode], stats.decodeTokensPerSecond);
  append(series_[Prefill], stats.prefillTokensPerSecond);
  append(series_[CachedPrefill], stats.cachedTokensPerSecond);
  append(series_[Running], stats.running);
  append(series_[Waiting], stats.waiting);
  keepDrafts(now);
  for (const api::RankMemory& memory : stats.ranks) {
    if (memory.rank == 0 || memory.rank == 1) {
      append(series_[memory.rank == 0 ? HeadMemory : WorkerMemory], double(memory.processBytes));
    }
  }
  live_ = true;
  emit changed();
}

void MonitorViewModel::setLive(bool live) {
  if (live != live_) {
    live_ = live;
    emit changed();
  }
}

void MonitorViewModel::keepDrafts(double now) {
  if (!drafts_.empty() &&
      (now < drafts_.back().seconds || last_.drafts.drafts() < drafts_.back().drafts.drafts())) {
    drafts_.clear();  // another engine, or a clock set back
  }
  drafts_.push_back({now, last_.drafts});
  while (drafts_.size() > 1 && drafts_[1].seconds <= now - kDraftWindowSeconds) {
    drafts_.pop_front();
  }
}

api::DraftStats MonitorViewModel::recentDrafts() const {
  if (drafts_.empty() || drafts_.front().drafts == last_.drafts) {
    return last_.drafts;
  }
  api::DraftStats recent = last_.drafts;
  for (std::size_t i = 0; i < api::kDraftPositions; ++i) {
    recent.proposed[i] -= drafts_.front().drafts.proposed[i];
    recent.accepted[i] -= drafts_.front().drafts.accepted[i];
  }
  return recent;
}

std::vector<Tile> MonitorViewModel::tiles() const {
  const bool known = !empty();
  const auto value = [known](const QString& text) { return known ? text : unknownQuantity(); };
  const api::DraftStats drafted = recentDrafts();
  const std::optional<double> length = drafted.meanLength();
  const QString cached =
      last_.cachedTokensPerSecond > 0
          ? tr("tok/s + %1 from cache").arg(rateText(last_.cachedTokensPerSecond))
          : tr("tok/s, last second");
  return {
      {tr("Decode"), value(rateText(last_.decodeTokensPerSecond)), tr("tok/s, last second")},
      {tr("Prefill"), value(rateText(last_.prefillTokensPerSecond)), cached},
      {tr("Requests"),
       value(countText(last_.running)),
       tr("running, %1 waiting").arg(value(countText(last_.waiting)))},
      {tr("Queue"), durationOf(last_.latency.queue), noteOf(last_.latency.queue)},
      {tr("First token"),
       // An engine that does not tell the last minute tells its newest request.
       !last_.latency.firstToken.recent && last_.lastTtftSeconds > 0
           ? durationText(last_.lastTtftSeconds)
           : durationOf(last_.latency.firstToken),
       !last_.latency.firstToken.recent && last_.lastTtftSeconds > 0
           ? tr("newest request")
           : noteOf(last_.latency.firstToken)},
      {tr("Between tokens"),
       durationOf(last_.latency.interToken),
       noteOf(last_.latency.interToken)},
      {tr("Tokens a step"),
       length ? QString::number(*length, 'f', 2) : unknownQuantity(),
       length ? tr("%1 of drafted tokens")
                    .arg(percentText(double(drafted.acceptedTokens()) /
                                     double(drafted.proposedTokens())))
              : tr("nothing drafted")},
      {tr("Communication"),
       value(percentText(last_.communicationShare)),
       last_.workerLagSeconds ? lagText(*last_.workerLagSeconds) : tr("of steps")},
  };
}

KvPicture MonitorViewModel::kv() const {
  const api::KvTokens tokens = api::kvTokens(last_);
  KvPicture picture;
  if (tokens.total == 0) {
    picture.use = unknownQuantity();
    return picture;
  }
  picture.parts = {
      {tr("live"), countText(tokens.live), double(tokens.live), &Palette::accent, PartFill::Solid},
      {tr("kept for reuse"),
       countText(tokens.prefix),
       double(tokens.prefix),
       &Palette::accent,
       PartFill::Hatched},
      {tr("free"), countText(tokens.free), double(tokens.free), &Palette::raised, PartFill::Empty}};
  picture.use = tr("Requests hold %1 of %2 tokens, %3")
                    .arg(countText(tokens.live),
                         countText(tokens.total),
                         percentText(double(tokens.live) / double(tokens.total)));
  const api::PrefixCacheStats& cache = last_.prefixCache;
  if (cache.queriedTokens > 0) {
    picture.hits = tr("Of %1 prompt tokens %2 were in the cache")
                       .arg(countText(static_cast<std::int64_t>(cache.queriedTokens)),
                            percentText(double(cache.hitTokens) / double(cache.queriedTokens)));
  }
  if (cache.diskBytes) {
    picture.hits += picture.hits.isEmpty() ? QString() : QStringLiteral("; ");
    picture.hits += tr("%1 on disk").arg(bytesText(*cache.diskBytes));
  }
  if (last_.preemptions > 0) {
    picture.hits += picture.hits.isEmpty() ? QString() : QStringLiteral("; ");
    picture.hits += tr("%1 preempted").arg(countText(static_cast<std::int64_t>(last_.preemptions)));
  }
  return picture;
}

DraftPicture MonitorViewModel::drafts() const {
  const api::DraftStats drafted = recentDrafts();
  DraftPicture picture;
  const std::array<QString, api::kDraftPositions> names{tr("1st"), tr("2nd"), tr("3rd")};
  for (std::size_t i = 0; i < names.size(); ++i) {
    picture.rows.push_back({names[i], drafted.acceptance(i)});
  }
  if (drafted.drafts() == 0) {
    picture.summary = tr("Nothing was drafted yet");
  } else {
    const QString drafts = countText(static_cast<std::int64_t>(drafted.drafts()));
    const bool recent = !(drafted == last_.drafts);
    picture.summary = recent ? tr("%1 drafts in the last minute").arg(drafts)
                             : tr("%1 drafts since the start").arg(drafts);
  }
  return picture;
}

QString MonitorViewModel::guardSentence() const {
  const QString why = QString::fromStdString(last_.memoryGuard.sentence);
  switch (last_.memoryGuard.state) {
    case api::MemoryGuardState::Normal:
      return {};
    case api::MemoryGuardState::Holding:
      return tr("Memory is short: no new request starts. %1").arg(why);
    case api::MemoryGuardState::Shrinking:
      return tr("Memory is short: cached prefixes are given up. %1").arg(why);
    case api::MemoryGuardState::Ending:
      return tr("Memory is almost gone: the engine stops to save the machine. %1").arg(why);
  }
  return {};
}

}  // namespace tandem::ui
