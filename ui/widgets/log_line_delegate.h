// SPDX-License-Identifier: GPL-3.0-or-later
// Paints one log record on one line: stripe of its rank, time, level, module, text.
#pragma once

#include <QStyledItemDelegate>

namespace tandem::ui {

class Theme;

class LogLineDelegate : public QStyledItemDelegate {
  Q_OBJECT

 public:
  explicit LogLineDelegate(const Theme& theme, QObject* parent = nullptr);

  void paint(QPainter* painter,
             const QStyleOptionViewItem& option,
             const QModelIndex& index) const override;
  [[nodiscard]] QSize sizeHint(const QStyleOptionViewItem& option,
                               const QModelIndex& index) const override;

 private:
  const Theme& theme_;
};

}  // namespace tandem::ui
