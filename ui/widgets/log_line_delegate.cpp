// SPDX-License-Identifier: GPL-3.0-or-later
// Columns of a log line, in the monospaced font so that they line up.
#include "ui/widgets/log_line_delegate.h"

#include <QPainter>

#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"
#include "ui/widgets/log_model.h"

namespace tandem::ui {

namespace {

constexpr int kTimeCells = 13;
constexpr int kLevelCells = 8;
constexpr int kModuleCells = 11;

}  // namespace

LogLineDelegate::LogLineDelegate(const Theme& theme, QObject* parent)
    : QStyledItemDelegate(parent),
      theme_(theme) {}

QSize LogLineDelegate::sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const {
  return {320, theme_.scaled(22)};
}

void LogLineDelegate::paint(QPainter* painter,
                            const QStyleOptionViewItem& option,
                            const QModelIndex& index) const {
  const Palette& colors = theme_.palette();
  const QFont font = theme_.font(TextRole::Code);
  const QFontMetrics metrics(font);
  const int cell = metrics.horizontalAdvance(QLatin1Char('0'));
  const QRect box = option.rect;

  painter->save();
  if (option.state.testFlag(QStyle::State_Selected)) {
    painter->fillRect(box, blended(colors.accent, colors.card, 0.2));
  }
  const bool worker = index.data(LogModel::RankRole).toInt() != 0;
  painter->fillRect(QRect(box.left() + 4, box.top() + 3, 3, box.height() - 6),
                    worker ? colors.worker : colors.head);

  painter->setFont(font);
  int x = box.left() + 16;
  const auto column = [&](const QString& text, int cells, const QColor& color) {
    const int width = cells > 0 ? cells * cell : box.right() - x - spacing::kSmall;
    painter->setPen(color);
    painter->drawText(QRect(x, box.top(), width, box.height()),
                      Qt::AlignVCenter | Qt::AlignLeft | Qt::TextSingleLine,
                      cells > 0 ? text : metrics.elidedText(text, Qt::ElideRight, width));
    x += width;
  };
  const auto level = static_cast<LogLevel>(index.data(LogModel::LevelRole).toInt());
  QColor levelColor = colors.textQuiet;
  if (level == LogLevel::Warning) {
    levelColor = colors.caution;
  } else if (level == LogLevel::Error) {
    levelColor = colors.bad;
  }
  column(index.data(LogModel::TimeRole).toString(), kTimeCells, colors.textQuiet);
  column(QString::fromLatin1(logLevelName(level)), kLevelCells, levelColor);
  column(index.data(LogModel::ModuleRole).toString().left(kModuleCells - 1),
         kModuleCells,
         colors.textNormal);
  column(index.data(LogModel::TextRole).toString(), 0, colors.textStrong);
  painter->restore();
}

}  // namespace tandem::ui
