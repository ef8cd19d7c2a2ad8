// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps the turns and says what changed.
#include "ui/pages/chat/chat_view_model.h"

#include <utility>

namespace tandem::ui {

void ChatViewModel::setTurn(int index, ChatTurn turn) {
  if (index == turnCount()) {
    turns_.push_back(std::move(turn));
  } else {
    turns_.at(static_cast<std::size_t>(index)) = std::move(turn);
  }
  emit turnChanged(index);
}

void ChatViewModel::truncate(int count) {
  if (count < turnCount()) {
    turns_.resize(static_cast<std::size_t>(count));
    emit turnsRemoved();
  }
}

void ChatViewModel::setAvailable(bool available, const QString& hint) {
  if (available != available_ || hint != hint_) {
    available_ = available;
    hint_ = hint;
    emit availableChanged();
  }
}

void ChatViewModel::setThinking(bool on) {
  if (on != thinking_) {
    thinking_ = on;
    emit optionsChanged();
  }
}

void ChatViewModel::setWeatherTool(bool on) {
  if (on != weatherTool_) {
    weatherTool_ = on;
    emit optionsChanged();
  }
}

}  // namespace tandem::ui
