// SPDX-License-Identifier: GPL-3.0-or-later
// A one-line label that shortens its text in the middle or at the end instead of being cut.
#pragma once

#include <QLabel>

namespace tandem::ui {

class ElidedLabel : public QLabel {
  Q_OBJECT

 public:
  explicit ElidedLabel(Qt::TextElideMode mode, QWidget* parent = nullptr);

  /// The whole text is the tool tip whenever it does not fit.
  void setFullText(const QString& text);
  [[nodiscard]] QString fullText() const { return fullText_; }
  [[nodiscard]] QSize sizeHint() const override;
  [[nodiscard]] QSize minimumSizeHint() const override;

 protected:
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  void shorten();

  Qt::TextElideMode mode_;
  QString fullText_;
};

}  // namespace tandem::ui
