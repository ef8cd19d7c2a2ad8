// SPDX-License-Identifier: GPL-3.0-or-later
// Appends statistics to series and writes the tiles.
#include "ui/pages/monitor/monitor_view_model.h"

#include <algorithm>
#include <cmath>

#include "ui/widgets/quantity.h"

namespace tandem::ui {

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

std::vector<Tile> MonitorViewModel::tiles() const {
  const bool known = !empty();
  const auto value = [known](const QString& text) { return known ? text : unknownQuantity(); };
  const double kvShare = last_.kvTokensCapacity > 0
                             ? 100.0 * double(last_.kvTokensUsed) / double(last_.kvTokensCapacity)
                             : 0;
  return {
      {tr("Decode"), value(rateText(last_.decodeTokensPerSecond)), tr("tok/s, last second")},
      {tr("Prefill"), value(rateText(last_.prefillTokensPerSecond)), tr("tok/s, last second")},
      {tr("First token"),
       value(last_.lastTtftSeconds > 0 ? durationText(last_.lastTtftSeconds) : unknownQuantity()),
       tr("newest request")},
      {tr("Requests"),
       value(countText(last_.running)),
       tr("running, %1 waiting").arg(countText(last_.waiting))},
      {tr("KV cache"),
       value(last_.kvTokensCapacity > 0 ? tr("%1 %").arg(std::lround(kvShare)) : unknownQuantity()),
       tr("of %1 tokens").arg(countText(last_.kvTokensCapacity))},
      {tr("Communication"),
       value(tr("%1 %").arg(std::lround(last_.communicationShare * 100))),
       tr("of step time")},
  };
}

}  // namespace tandem::ui
