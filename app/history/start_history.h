// SPDX-License-Identifier: GPL-3.0-or-later
// The newest successful starts, kept in a file, so that the next one can be compared with them.
#pragma once

#include <optional>
#include <vector>

#include <QString>

#include "app/history/start_run.h"
#include "app/history/usual_start.h"
#include "engine/base/result.h"

namespace tandem::app {

/// Starts that may be compared with each other. As a question, "" and 0 stand for what the newest
/// start had: before an engine is ready nobody knows its back end.
struct StartKind {
  QString model;  // name of the model
  int ranks = 0;
  QString backend;

  friend bool operator==(const StartKind&, const StartKind&) = default;
};

struct RecordedStart {
  StartKind kind;
  StartRun run;
};

/// One JSON file, read and written as a whole. Two programs that add at the same moment may lose
/// one of the two starts, never the file. Thread   any one
class StartHistory {
 public:
  static constexpr int kKept = 20;       // of each kind
  static constexpr int kKeptKinds = 20;  // with the newest starts

  explicit StartHistory(QString file);

  /// start-history.json in the given folder for state.
  [[nodiscard]] static QString fileIn(const QString& stateFolder);

  /// What earlier starts of this kind took; count 0 when there was none.
  [[nodiscard]] UsualStart usual(const StartKind& kind) const;

  /// Adds the newest start and writes the file.
  /// Fails    PermissionDenied, Unavailable with the file and the reason; it is in usual() anyway
  Result<void> add(const StartKind& kind, const StartRun& run);

  /// That a file that could not be understood was set aside, and where; for the person.
  [[nodiscard]] const std::optional<Error>& warning() const { return warning_; }

 private:
  void load();
  void setAside(const QString& why);
  void forgetOldOnes();
  [[nodiscard]] Result<void> save() const;

  QString file_;
  std::vector<RecordedStart> entries_;  // oldest first
  std::optional<Error> warning_;
};

}  // namespace tandem::app
