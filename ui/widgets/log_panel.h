// SPDX-License-Identifier: GPL-3.0-or-later
// The log of all ranks in one list, with filters and a follow switch.
#pragma once

#include <optional>

#include <QWidget>

class QComboBox;
class QLabel;
class QLineEdit;
class QListView;
class QToolButton;

namespace tandem::ui {

class LogModel;
class Theme;

class LogPanel : public QWidget {
  Q_OBJECT

 public:
  LogPanel(const Theme& theme, LogModel& model, QWidget* parent = nullptr);

  /// Shows only lines of `rank`; nullopt shows all.
  void showRank(std::optional<int> rank);
  /// Scrolls to the first line at or after this wall time.
  void scrollToTime(std::int64_t wallMs);
  [[nodiscard]] bool follows() const;

 private:
  void buildFilters();
  void applyFilter();
  void rowsChanged();
  void copySelection();
  void recolor();

  const Theme& theme_;
  LogModel& model_;
  QComboBox* rank_;
  QComboBox* level_;
  QLineEdit* text_;
  QToolButton* follow_;
  QToolButton* copy_;
  QListView* list_;
  QLabel* empty_;
};

}  // namespace tandem::ui
