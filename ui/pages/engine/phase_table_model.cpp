// SPDX-License-Identifier: GPL-3.0-or-later
// Texts of the phase table.
#include "ui/pages/engine/phase_table_model.h"

#include <utility>

#include <QCoreApplication>

#include "ui/widgets/quantity.h"

namespace tandem::ui {

namespace {

QString cellText(const PhaseRow& row, int column) {
  switch (column) {
    case PhaseTableModel::Phase:
      return row.phase;
    case PhaseTableModel::Node:
      return row.node;
    case PhaseTableModel::State:
      return barStateWord(row.state);
    case PhaseTableModel::Start:
      return durationText(row.startSeconds);
    case PhaseTableModel::Took:
      return row.state == BarState::Skipped ? unknownQuantity() : durationText(row.tookSeconds);
    case PhaseTableModel::Usual:
      return row.usualSeconds ? durationText(*row.usualSeconds) : unknownQuantity();
    case PhaseTableModel::Difference:
      if (!row.usualSeconds || row.state != BarState::Done) {
        return unknownQuantity();
      } else {
        const double difference = row.tookSeconds - *row.usualSeconds;
        return (difference < 0 ? QStringLiteral("−") : QStringLiteral("+")) +
               durationText(std::abs(difference));
      }
    case PhaseTableModel::Bytes:
      return row.bytesTotal == 0 ? unknownQuantity() : bytesText(row.bytesDone);
    case PhaseTableModel::Rate:
      return row.bytesDone == 0 || row.tookSeconds <= 0
                 ? unknownQuantity()
                 : byteRateText(double(row.bytesDone) / row.tookSeconds);
    default:
      return {};
  }
}

}  // namespace

QString barStateWord(BarState state) {
  const auto tr = [](const char* text) {
    return QCoreApplication::translate("tandem::ui::PhaseTableModel", text);
  };
  switch (state) {
    case BarState::Done:
      return tr("done");
    case BarState::Running:
      return tr("running");
    case BarState::Late:
      return tr("slower than usual");
    case BarState::Failed:
      return tr("failed");
    case BarState::Skipped:
      return tr("skipped");
    case BarState::Cancelled:
      return tr("cancelled");
  }
  return {};
}

void PhaseTableModel::setRows(std::vector<PhaseRow> rows) {
  // Rows only grow during a start, so the view keeps its selection and scroll position.
  const int before = static_cast<int>(rows_.size());
  const int after = static_cast<int>(rows.size());
  if (after < before) {
    beginResetModel();
    rows_ = std::move(rows);
    endResetModel();
    return;
  }
  if (after > before) {
    beginInsertRows({}, before, after - 1);
  }
  rows_ = std::move(rows);
  if (after > before) {
    endInsertRows();
  }
  if (before > 0) {
    emit dataChanged(index(0, 0), index(before - 1, ColumnCount - 1));
  }
}

int PhaseTableModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(rows_.size());
}

int PhaseTableModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : ColumnCount;
}

QVariant PhaseTableModel::data(const QModelIndex& index, int role) const {
  const PhaseRow& row = rows_[static_cast<std::size_t>(index.row())];
  switch (role) {
    case Qt::DisplayRole:
      return cellText(row, index.column());
    case Qt::ToolTipRole:
      return row.detail;
    case Qt::TextAlignmentRole:
      return int(index.column() >= Start ? Qt::AlignRight | Qt::AlignVCenter
                                         : Qt::AlignLeft | Qt::AlignVCenter);
    default:
      return {};
  }
}

QVariant PhaseTableModel::headerData(int section, Qt::Orientation side, int role) const {
  if (side != Qt::Horizontal) {
    return {};
  }
  if (role == Qt::TextAlignmentRole) {
    return int(section >= Start ? Qt::AlignRight | Qt::AlignVCenter
                                : Qt::AlignLeft | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole) {
    return {};
  }
  const QString titles[] = {tr("Phase"),
                            tr("Node"),
                            tr("State"),
                            tr("Start"),
                            tr("Took"),
                            tr("Usual"),
                            tr("Difference"),
                            tr("Bytes"),
                            tr("Rate")};
  return titles[section];
}

}  // namespace tandem::ui
