// SPDX-License-Identifier: GPL-3.0-or-later
// Where the next message is written, with the switches that shape the answer.
#pragma once

#include <QFrame>

class QPlainTextEdit;
class QPushButton;
class QToolButton;

namespace tandem::ui {

class Theme;

/// Enter or Ctrl+Return sends, Shift+Enter starts a new line. While an answer runs, the button
/// stops it.
class Composer : public QFrame {
  Q_OBJECT

 public:
  explicit Composer(const Theme& theme, QWidget* parent = nullptr);

  void setBusy(bool busy);
  /// Without an engine nothing can be sent; `hint` says why in the empty field.
  void setAvailable(bool available, const QString& hint);
  void setText(const QString& text);
  [[nodiscard]] QString text() const;
  [[nodiscard]] bool thinking() const;
  [[nodiscard]] bool weatherTool() const;
  void setThinking(bool on);
  void setWeatherTool(bool on);

 signals:
  void sendRequested(const QString& text);
  void stopRequested();
  void thinkingToggled(bool on);
  void weatherToolToggled(bool on);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void submit();
  void fitHeight();
  void showButton();
  void recolor();

  const Theme& theme_;
  QPlainTextEdit* edit_;
  QToolButton* thinking_;
  QToolButton* weather_;
  QPushButton* send_;
  bool busy_ = false;
  bool available_ = false;
};

}  // namespace tandem::ui
