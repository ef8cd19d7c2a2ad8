// SPDX-License-Identifier: GPL-3.0-or-later
// What the Engine page says and draws about the current or last start.
#pragma once

#include <QObject>

#include "ui/pages/engine/phase_table_model.h"
#include "ui/pages/engine/start_record.h"
#include "ui/pages/engine/timeline_picture.h"
#include "ui/widgets/log_model.h"

namespace tandem::ui {

class PanelViewModel;

/// Holds no widget. A bridge gives it the start record and log lines. GUI thread.
class EngineViewModel : public QObject {
  Q_OBJECT

 public:
  explicit EngineViewModel(const PanelViewModel& panel, QObject* parent = nullptr);

  void setStart(StartRecord record);
  /// Lines are shown in batches, 20 times a second.
  void addLog(const LogRecord& record);
  void flushLog();

  [[nodiscard]] bool hasStart() const { return !record_.phases.empty(); }
  [[nodiscard]] const TimelinePicture& picture() const { return picture_; }
  /// "Starting engine", "Engine is ready", "Engine failed to start", …
  [[nodiscard]] QString headline() const;
  /// "2.1 s of about 3.0 s. Worker is 0.4 s behind its usual pace."
  [[nodiscard]] QString sentence() const;
  /// The wall time of a bar's begin, for the log.
  [[nodiscard]] std::int64_t wallMsOf(int lane, int bar) const;
  [[nodiscard]] int rankOf(int lane) const;

  [[nodiscard]] PhaseTableModel& phases() { return phases_; }
  [[nodiscard]] LogModel& log() { return log_; }

 signals:
  void changed();

 private:
  void rebuild();
  [[nodiscard]] QString paceSentence() const;

  const PanelViewModel& panel_;
  StartRecord record_;
  TimelinePicture picture_;
  std::vector<int> laneRanks_;
  std::vector<std::vector<std::int64_t>> barWallMs_;
  PhaseTableModel phases_;
  LogModel log_;
  std::vector<LogRecord> pendingLog_;
};

[[nodiscard]] QString phaseTitle(api::Phase phase);
[[nodiscard]] QString nodeTitle(int rank);

}  // namespace tandem::ui
