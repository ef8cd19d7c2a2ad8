// SPDX-License-Identifier: GPL-3.0-or-later
// Log records as list rows, filtered by rank, level and text.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include <QAbstractListModel>
#include <QString>

#include "engine/base/log.h"

namespace tandem::ui {

struct LogFilter {
  std::optional<int> rank;
  LogLevel lowestLevel = LogLevel::Debug;
  QString text;  // found anywhere in module or text, whatever the case

  bool operator==(const LogFilter&) const = default;
};

/// Keeps the newest `kCapacity` records and shows those that pass the filter. Appending a batch
/// costs one insertion of rows; a changed filter one pass over the records. GUI thread.
class LogModel : public QAbstractListModel {
  Q_OBJECT

 public:
  static constexpr std::size_t kCapacity = 20000;
  enum Role { TimeRole = Qt::UserRole, RankRole, LevelRole, ModuleRole, TextRole, WallMsRole };

  using QAbstractListModel::QAbstractListModel;

  void append(const std::vector<LogRecord>& records);
  void clear();
  void setFilter(const LogFilter& filter);
  [[nodiscard]] std::size_t recordCount() const { return records_.size(); }

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;

  /// "13:37:05.120 rank 0 warning weights: text", as in the log file.
  [[nodiscard]] QString lineText(int row) const;

 private:
  [[nodiscard]] bool passes(const LogRecord& record) const;
  [[nodiscard]] const LogRecord& recordAt(int row) const;
  void dropOldest();

  LogFilter filter_;
  std::deque<LogRecord> records_;
  // Rows as sequence numbers: record n is records_[n - firstNumber_], also after old ones went.
  std::deque<std::size_t> rows_;
  std::size_t firstNumber_ = 0;
};

}  // namespace tandem::ui
