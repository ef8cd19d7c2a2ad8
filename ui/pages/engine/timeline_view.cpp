// SPDX-License-Identifier: GPL-3.0-or-later
// Geometry, painting and selection of the start-up timeline.
#include "ui/pages/engine/timeline_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>

#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"

namespace tandem::ui {

namespace {

constexpr int kLaneNameWidth = 96;
constexpr int kAxisHeight = 24;
constexpr int kBarHeight = 26;
constexpr int kGhostHeight = 8;
constexpr int kGhostGap = 4;
constexpr int kLaneHeight = 60;
constexpr int kNowHeight = 20;
constexpr int kTicksWanted = 6;
constexpr int kLabelPadding = 8;

double tickStep(double span) {
  for (const double step : {0.1, 0.2, 0.5, 1., 2., 5., 10., 15., 30., 60., 120., 300., 600.}) {
    if (span / step <= kTicksWanted) {
      return step;
    }
  }
  return 1200;
}

QString tickLabel(double seconds, double step) {
  if (seconds == 0) {
    return QStringLiteral("0");
  }
  if (step >= 60) {
    return TimelineView::tr("%1 min").arg(std::lround(seconds / 60));
  }
  return TimelineView::tr("%1 s").arg(seconds, 0, 'f', step < 1 ? 1 : 0);
}

}  // namespace

TimelineView::TimelineView(const Theme& theme, QWidget* parent)
    : QWidget(parent),
      theme_(theme) {
  setFocusPolicy(Qt::StrongFocus);
  setAccessibleName(tr("Start-up timeline"));
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void TimelineView::setPicture(TimelinePicture picture) {
  const bool resized = picture.lanes.size() != picture_.lanes.size();
  picture_ = std::move(picture);
  setAccessibleDescription(picture_.summary);
  if (resized) {
    selected_ = {};
    updateGeometry();
  }
  update();
}

QSize TimelineView::sizeHint() const {
  const int lanes = std::max<int>(2, static_cast<int>(picture_.lanes.size()));
  return {640, theme_.scaled(kAxisHeight + lanes * kLaneHeight + kNowHeight)};
}

QSize TimelineView::minimumSizeHint() const {
  return {320, sizeHint().height()};
}

QRectF TimelineView::plotArea() const {
  return QRectF(rect()).adjusted(theme_.scaled(kLaneNameWidth),
                                 theme_.scaled(kAxisHeight),
                                 -spacing::kPage,
                                 -theme_.scaled(kNowHeight));
}

double TimelineView::xOf(double seconds) const {
  const QRectF area = plotArea();
  return area.left() + area.width() * seconds / picture_.span;
}

QRectF TimelineView::barRect(int lane, const TimelineBar& bar) const {
  const double top = plotArea().top() + theme_.scaled(kLaneHeight) * lane + spacing::kSmall;
  const double left = xOf(bar.begin);
  // A phase of a few milliseconds must still be seen and clicked.
  const double width = std::max(3.0, xOf(bar.end) - left - 1);
  return {left, top, width, double(theme_.scaled(kBarHeight))};
}

TimelineView::Selection TimelineView::barAt(const QPointF& point) const {
  for (int lane = 0; lane < static_cast<int>(picture_.lanes.size()); ++lane) {
    const auto& bars = picture_.lanes[static_cast<std::size_t>(lane)].bars;
    // The last one drawn lies on top.
    for (int bar = static_cast<int>(bars.size()) - 1; bar >= 0; --bar) {
      if (barRect(lane, bars[static_cast<std::size_t>(bar)])
              .adjusted(-1, -2, 1, 2)
              .contains(point)) {
        return {lane, bar};
      }
    }
  }
  return {};
}

void TimelineView::select(Selection selection) {
  if (selection != selected_) {
    selected_ = selection;
    update();
    emit barSelected(selection.lane, selection.bar);
  }
}

void TimelineView::mousePressEvent(QMouseEvent* event) {
  select(barAt(event->position()));
}

void TimelineView::keyPressEvent(QKeyEvent* event) {
  const int lanes = static_cast<int>(picture_.lanes.size());
  if (lanes == 0) {
    QWidget::keyPressEvent(event);
    return;
  }
  Selection next = selected_;
  switch (event->key()) {
    case Qt::Key_Escape:
      if (selected_ == Selection{}) {
        QWidget::keyPressEvent(event);
        return;
      }
      select({});
      return;
    case Qt::Key_Left:
      --next.bar;
      break;
    case Qt::Key_Right:
      ++next.bar;
      break;
    case Qt::Key_Up:
      --next.lane;
      break;
    case Qt::Key_Down:
      ++next.lane;
      break;
    default:
      QWidget::keyPressEvent(event);
      return;
  }
  next.lane = std::clamp(next.lane, 0, lanes - 1);
  const int bars =
      static_cast<int>(picture_.lanes[static_cast<std::size_t>(next.lane)].bars.size());
  next.bar = std::clamp(next.bar, bars > 0 ? 0 : -1, bars - 1);
  select(next);
}

bool TimelineView::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip) {
    const auto* help = static_cast<QHelpEvent*>(event);
    const Selection under = barAt(help->pos());
    if (under.lane >= 0) {
      const auto& bar = picture_.lanes[static_cast<std::size_t>(under.lane)]
                            .bars[static_cast<std::size_t>(under.bar)];
      QToolTip::showText(help->globalPos(),
                         tr("%1, %2 s").arg(bar.label).arg(bar.end - bar.begin, 0, 'f', 2),
                         this);
    } else {
      QToolTip::hideText();
    }
    return true;
  }
  return QWidget::event(event);
}

void TimelineView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  paintAxis(painter);
  for (int lane = 0; lane < static_cast<int>(picture_.lanes.size()); ++lane) {
    paintLane(painter, lane);
  }
  paintNow(painter);
  if (hasFocus()) {
    painter.setPen(QPen(theme_.palette().accent, spacing::kFocusRing));
    painter.setBrush(Qt::NoBrush);
    painter.drawRoundedRect(QRectF(rect()).adjusted(1, 1, -1, -1), 4, 4);
  }
}

void TimelineView::paintAxis(QPainter& painter) const {
  const Palette& colors = theme_.palette();
  const QRectF area = plotArea();
  const double step = tickStep(picture_.span);
  painter.setFont(theme_.font(TextRole::Caption));
  for (int i = 0; i * step <= picture_.span * 1.0001; ++i) {
    const double x = std::round(xOf(i * step)) + 0.5;
    painter.setPen(QPen(colors.divider, 1));
    painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()));
    painter.setPen(colors.textQuiet);
    painter.drawText(QRectF(x - 40, 0, 80, area.top() - 2),
                     Qt::AlignHCenter | Qt::AlignVCenter,
                     tickLabel(i * step, step));
  }
  painter.setPen(QPen(colors.outline, 1));
  for (const double barrier : picture_.barriers) {
    const double x = std::round(xOf(barrier)) + 0.5;
    painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()));
  }
}

void TimelineView::paintLane(QPainter& painter, int lane) const {
  const Palette& colors = theme_.palette();
  const TimelineLane& row = picture_.lanes[static_cast<std::size_t>(lane)];
  const double top = plotArea().top() + theme_.scaled(kLaneHeight) * lane + spacing::kSmall;
  const double height = theme_.scaled(kBarHeight) + kGhostGap + kGhostHeight;

  painter.setPen(Qt::NoPen);
  painter.setBrush(colors.*row.color);
  painter.drawRoundedRect(QRectF(4, top, 4, theme_.scaled(kBarHeight)), 2, 2);
  QFont font = theme_.font(TextRole::Body);
  font.setWeight(QFont::DemiBold);
  painter.setFont(font);
  painter.setPen(colors.textStrong);
  painter.drawText(QRectF(16, top, theme_.scaled(kLaneNameWidth) - 20, theme_.scaled(kBarHeight)),
                   Qt::AlignVCenter | Qt::AlignLeft,
                   row.name);

  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(colors.textQuiet, 1, Qt::DashLine));
  for (const TimelineGhost& ghost : row.ghosts) {
    const double left = xOf(ghost.begin);
    const double width = xOf(std::min(ghost.end, picture_.span)) - left;
    if (width > 2) {
      painter.drawRoundedRect(
          QRectF(left + 0.5, top + height - kGhostHeight + 0.5, width - 1, kGhostHeight - 1),
          2,
          2);
    }
  }
  for (int bar = 0; bar < static_cast<int>(row.bars.size()); ++bar) {
    paintBar(painter,
             lane,
             row.bars[static_cast<std::size_t>(bar)],
             selected_ == Selection{lane, bar});
  }
}

void TimelineView::paintBar(QPainter& painter,
                            int lane,
                            const TimelineBar& bar,
                            bool selected) const {
  const Palette& colors = theme_.palette();
  const QColor base = colors.*picture_.lanes[static_cast<std::size_t>(lane)].color;
  const bool dark = theme_.mode() == ThemeMode::Dark;
  const bool strong = bar.state == BarState::Running || bar.state == BarState::Late;
  QRectF box = barRect(lane, bar);

  painter.setPen(Qt::NoPen);
  painter.setBrush(
      blended(base, colors.card, strong ? (dark ? 0.55 : 0.45) : (dark ? 0.32 : 0.22)));
  if (bar.state == BarState::Skipped || bar.state == BarState::Cancelled) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(colors.outline, 1));
  }
  painter.drawRoundedRect(box, 4, 4);

  const bool late = bar.state == BarState::Late;
  const bool failed = bar.state == BarState::Failed;
  if (late || failed || selected) {
    const QColor edge = selected ? colors.textStrong : (failed ? colors.bad : colors.caution);
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(edge, 2));
    painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), 3, 3);
  }

  const QFont font = theme_.font(TextRole::Caption);
  const QFontMetricsF metrics(font);
  const double room = box.width() - 2 * kLabelPadding;
  // Never a cut word: the whole label, the bare name, or nothing (the table below has it).
  for (const QString& text : {bar.label, bar.name}) {
    if (metrics.horizontalAdvance(text) <= room) {
      painter.setFont(font);
      painter.setPen(colors.textStrong);
      painter.drawText(box.adjusted(kLabelPadding, 0, 0, 0),
                       Qt::AlignVCenter | Qt::AlignLeft,
                       text);
      break;
    }
  }
}

void TimelineView::paintNow(QPainter& painter) const {
  if (!picture_.moving) {
    return;
  }
  const Palette& colors = theme_.palette();
  const QRectF area = plotArea();
  const double x = std::round(xOf(picture_.now)) + 0.5;
  painter.setPen(QPen(colors.textStrong, 1));
  painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()));
  const QString word = tr("now");
  painter.setFont(theme_.font(TextRole::Caption));
  const double width = QFontMetricsF(painter.font()).horizontalAdvance(word) + 16;
  const QRectF tag(std::min(x - width / 2, double(this->width()) - width),
                   area.bottom(),
                   width,
                   theme_.scaled(kNowHeight) - 2);
  painter.setPen(Qt::NoPen);
  painter.setBrush(colors.textStrong);
  painter.drawRoundedRect(tag, 4, 4);
  painter.setPen(colors.ground);
  painter.drawText(tag, Qt::AlignCenter, word);
}

}  // namespace tandem::ui
