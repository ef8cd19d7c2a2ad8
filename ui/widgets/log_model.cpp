// SPDX-License-Identifier: GPL-3.0-or-later
// Bookkeeping of the shown rows.
#include "ui/widgets/log_model.h"

#include <QDateTime>

namespace tandem::ui {

namespace {

QString timeText(std::int64_t wallMs) {
  return QDateTime::fromMSecsSinceEpoch(wallMs).toString(QStringLiteral("HH:mm:ss.zzz"));
}

}  // namespace

bool LogModel::passes(const LogRecord& record) const {
  if ((filter_.rank && *filter_.rank != record.rank) || record.level < filter_.lowestLevel) {
    return false;
  }
  return filter_.text.isEmpty() ||
         QString::fromStdString(record.text).contains(filter_.text, Qt::CaseInsensitive) ||
         QString::fromStdString(record.module).contains(filter_.text, Qt::CaseInsensitive);
}

void LogModel::append(const std::vector<LogRecord>& records) {
  std::vector<std::size_t> shown;
  for (const LogRecord& record : records) {
    if (passes(record)) {
      shown.push_back(firstNumber_ + records_.size());
    }
    records_.push_back(record);
  }
  if (!shown.empty()) {
    const int first = static_cast<int>(rows_.size());
    beginInsertRows({}, first, first + static_cast<int>(shown.size()) - 1);
    rows_.insert(rows_.end(), shown.begin(), shown.end());
    endInsertRows();
  }
  dropOldest();
}

void LogModel::dropOldest() {
  if (records_.size() <= kCapacity) {
    return;
  }
  const std::size_t firstKept = firstNumber_ + records_.size() - kCapacity;
  int gone = 0;
  while (gone < static_cast<int>(rows_.size()) &&
         rows_[static_cast<std::size_t>(gone)] < firstKept) {
    ++gone;
  }
  if (gone > 0) {
    beginRemoveRows({}, 0, gone - 1);
    rows_.erase(rows_.begin(), rows_.begin() + gone);
  }
  records_.erase(records_.begin(),
                 records_.begin() + static_cast<std::ptrdiff_t>(firstKept - firstNumber_));
  firstNumber_ = firstKept;
  if (gone > 0) {
    endRemoveRows();
  }
}

void LogModel::clear() {
  beginResetModel();
  records_.clear();
  rows_.clear();
  firstNumber_ = 0;
  endResetModel();
}

void LogModel::setFilter(const LogFilter& filter) {
  if (filter == filter_) {
    return;
  }
  beginResetModel();
  filter_ = filter;
  rows_.clear();
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (passes(records_[i])) {
      rows_.push_back(firstNumber_ + i);
    }
  }
  endResetModel();
}

int LogModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(rows_.size());
}

const LogRecord& LogModel::recordAt(int row) const {
  return records_[rows_[static_cast<std::size_t>(row)] - firstNumber_];
}

QVariant LogModel::data(const QModelIndex& index, int role) const {
  const LogRecord& record = recordAt(index.row());
  switch (role) {
    case Qt::DisplayRole:
    case Qt::AccessibleTextRole:
      return lineText(index.row());
    case Qt::ToolTipRole:
    case TextRole:
      return QString::fromStdString(record.text);
    case TimeRole:
      return timeText(record.wallMs);
    case RankRole:
      return record.rank;
    case LevelRole:
      return static_cast<int>(record.level);
    case ModuleRole:
      return QString::fromStdString(record.module);
    case WallMsRole:
      return static_cast<qint64>(record.wallMs);
    default:
      return {};
  }
}

QString LogModel::lineText(int row) const {
  const LogRecord& record = recordAt(row);
  return QStringLiteral("%1 rank %2 %3 %4: %5")
      .arg(timeText(record.wallMs))
      .arg(record.rank)
      .arg(QLatin1String(logLevelName(record.level)),
           QString::fromStdString(record.module),
           QString::fromStdString(record.text));
}

}  // namespace tandem::ui
