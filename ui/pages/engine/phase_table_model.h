// SPDX-License-Identifier: GPL-3.0-or-later
// The phases of a start as rows: the readable twin of the timeline picture.
#pragma once

#include <optional>
#include <vector>

#include <QAbstractTableModel>

#include "ui/pages/engine/timeline_picture.h"

namespace tandem::ui {

struct PhaseRow {
  QString phase;
  QString node;
  BarState state = BarState::Done;
  double startSeconds = 0;
  double tookSeconds = 0;
  std::optional<double> usualSeconds;
  std::uint64_t bytesDone = 0;
  std::uint64_t bytesTotal = 0;
  QString detail;
};

class PhaseTableModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { Phase, Node, State, Start, Took, Usual, Difference, Bytes, Rate, ColumnCount };

  using QAbstractTableModel::QAbstractTableModel;

  void setRows(std::vector<PhaseRow> rows);

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation side, int role) const override;

 private:
  std::vector<PhaseRow> rows_;
};

[[nodiscard]] QString barStateWord(BarState state);

}  // namespace tandem::ui
