// SPDX-License-Identifier: GPL-3.0-or-later
// The engine's numbers over the last minutes, ready to be drawn.
#pragma once

#include <array>
#include <deque>
#include <vector>

#include <QObject>

#include "engine/api/engine_stats.h"
#include "ui/widgets/metric_chart.h"
#include "ui/widgets/share_rows.h"
#include "ui/widgets/split_bar.h"

namespace tandem::ui {

/// A number with its name: one tile.
struct Tile {
  QString name;
  QString value;
  QString note;
};

/// How the memory for keys and values is used, and how often prompts were found there.
struct KvPicture {
  std::vector<BarPart> parts;  // live, kept, free; empty while unknown
  QString use;                 // "1,024 of 16,384 tokens are held by requests"
  QString hits;                // "Of 48,210 prompt tokens 77 % were in the cache"
};

/// What drafts are worth.
struct DraftPicture {
  std::vector<ShareRow> rows;  // one a place in the draft
  QString summary;             // "2.7 tokens a step, from 1,204 drafts in the last minute"
};

/// Keeps five minutes of once-a-second statistics. Holds no widget. GUI thread.
class MonitorViewModel : public QObject {
  Q_OBJECT

 public:
  static constexpr double kWindowSeconds = 300;
  static constexpr double kDraftWindowSeconds = 60;
  enum Series {
    Decode,
    Prefill,
    CachedPrefill,
    Running,
    Waiting,
    HeadMemory,
    WorkerMemory,
    SeriesCount
  };

  using QObject::QObject;

  void addStats(const api::EngineStats& stats);
  /// The engine stopped: the charts keep their last values, greyed by the page.
  void setLive(bool live);

  [[nodiscard]] bool live() const { return live_; }
  [[nodiscard]] bool empty() const { return series_[Decode].empty(); }
  [[nodiscard]] const std::vector<MetricPoint>& series(Series which) const {
    return series_[which];
  }
  [[nodiscard]] std::vector<Tile> tiles() const;
  [[nodiscard]] KvPicture kv() const;
  [[nodiscard]] DraftPicture drafts() const;
  /// What the memory guard does and why, or "".
  [[nodiscard]] QString guardSentence() const;

 signals:
  void changed();

 private:
  struct DraftPoint {
    double seconds = 0;
    api::DraftStats drafts;
  };

  void keepDrafts(double now);
  /// Of the last minute, or of all time when there were none in it.
  [[nodiscard]] api::DraftStats recentDrafts() const;

  api::EngineStats last_;
  std::deque<DraftPoint> drafts_;  // of the last minute, and one before it
  std::array<std::vector<MetricPoint>, SeriesCount> series_;
  bool live_ = false;
};

}  // namespace tandem::ui
