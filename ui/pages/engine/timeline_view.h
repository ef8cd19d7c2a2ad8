// SPDX-License-Identifier: GPL-3.0-or-later
// Draws the start-up timeline: measured bars over the dashed usual ones, lane by lane.
#pragma once

#include <QWidget>

#include "ui/pages/engine/timeline_picture.h"

namespace tandem::ui {

class Theme;

/// Arrow keys and clicks select a bar; Esc clears the selection. GUI thread.
class TimelineView : public QWidget {
  Q_OBJECT

 public:
  explicit TimelineView(const Theme& theme, QWidget* parent = nullptr);

  void setPicture(TimelinePicture picture);
  [[nodiscard]] const TimelinePicture& picture() const { return picture_; }
  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override;

 signals:
  /// `lane` and `bar` index the picture; -1, -1 when nothing is selected.
  void barSelected(int lane, int bar);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  bool event(QEvent* event) override;

 private:
  struct Selection {
    int lane = -1;
    int bar = -1;
    bool operator==(const Selection&) const = default;
  };

  [[nodiscard]] QRectF plotArea() const;
  [[nodiscard]] double xOf(double seconds) const;
  [[nodiscard]] QRectF barRect(int lane, const TimelineBar& bar) const;
  [[nodiscard]] Selection barAt(const QPointF& point) const;
  void select(Selection selection);
  void paintAxis(QPainter& painter) const;
  void paintLane(QPainter& painter, int lane) const;
  void paintBar(QPainter& painter, int lane, const TimelineBar& bar, bool selected) const;
  void paintNow(QPainter& painter) const;

  const Theme& theme_;
  TimelinePicture picture_;
  Selection selected_;
};

}  // namespace tandem::ui
