// SPDX-License-Identifier: GPL-3.0-or-later
// A turn of the conversation in the words and numbers of the Chat page.
#pragma once

#include <chrono>

#include <QString>

#include "app/chat/transcript.h"
#include "ui/pages/chat/chat_turn.h"

namespace tandem::ui {

/// `sinceAsked` is shown while the turn is live. Counts and rates are those the engine sent.
[[nodiscard]] ChatTurn chatTurnOf(const app::Turn& turn, std::chrono::seconds sinceAsked);

/// "city: Tokyo", a line for each argument; what is no JSON object (yet) as it is.
[[nodiscard]] QString argumentLines(const QString& json);

}  // namespace tandem::ui
