// SPDX-License-Identifier: GPL-3.0-or-later
// The conversation as the Chat page shows it, and what a person may ask of it.
#pragma once

#include <vector>

#include <QObject>

#include "ui/pages/chat/chat_turn.h"

namespace tandem::ui {

/// A tool result that goes back to the model.
struct ToolResult {
  QString callId;
  QString content;
};

/// Holds no widget and no service: a bridge puts turns in and acts on the requests. GUI thread.
class ChatViewModel : public QObject {
  Q_OBJECT

 public:
  using QObject::QObject;

  [[nodiscard]] int turnCount() const { return static_cast<int>(turns_.size()); }
  [[nodiscard]] const ChatTurn& turn(int index) const {
    return turns_.at(static_cast<std::size_t>(index));
  }
  /// Sets turn `index`, or appends it when `index` is the count.
  void setTurn(int index, ChatTurn turn);
  void truncate(int count);

  /// Whether an answer is being written.
  [[nodiscard]] bool busy() const { return !turns_.empty() && turns_.back().live(); }

  [[nodiscard]] bool available() const { return available_; }
  /// What the empty message field says.
  [[nodiscard]] const QString& hint() const { return hint_; }
  void setAvailable(bool available, const QString& hint);

  [[nodiscard]] bool thinking() const { return thinking_; }
  [[nodiscard]] bool weatherTool() const { return weatherTool_; }
  void setThinking(bool on);
  void setWeatherTool(bool on);

 signals:
  void turnChanged(int index);
  void turnsRemoved();
  void availableChanged();
  void optionsChanged();

  void sendRequested(const QString& text);
  void stopRequested();
  void regenerateRequested();
  void newChatRequested();
  void resultsRequested(const std::vector<tandem::ui::ToolResult>& results);

 private:
  std::vector<ChatTurn> turns_;
  QString hint_;
  bool available_ = false;
  bool thinking_ = false;
  bool weatherTool_ = false;
};

}  // namespace tandem::ui
