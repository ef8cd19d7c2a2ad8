// SPDX-License-Identifier: GPL-3.0-or-later
// Messages as the checkpoint sees them: tool results live inside user turns.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/tokenizer/chat_message.h"

namespace tandem::tokenizer {

enum class ChatRole { System, Developer, User, Assistant, LatestReminder };

/// A part of a user turn.
struct TurnBlock {
  enum class Kind { Text, ToolResult };
  Kind kind = Kind::Text;
  std::string text;
  std::string toolCallId;  // ToolResult
};

struct ChatTurn {
  ChatRole role = ChatRole::User;
  ChatMessage message;            // its content is in `blocks` if this is a user turn
  std::vector<TurnBlock> blocks;  // user turns only
};

/// Joins neighbouring user and tool messages into user turns, with tool results in the order of the
/// calls they answer.
///
/// Fails   InvalidArgument when a role or a task is unknown; the message's index is named
Result<std::vector<ChatTurn>> turnsFromMessages(std::vector<ChatMessage> messages);

/// The index of the last user or developer turn, or -1.
[[nodiscard]] int lastUserTurn(const std::vector<ChatTurn>& turns);

/// Forgets what a new question does not need: reasoning and developer turns before the last user
/// turn.
[[nodiscard]] std::vector<ChatTurn> withoutPastReasoning(std::vector<ChatTurn> turns);

/// The token that asks for a task's answer ("title" → `<｜title｜>`), or "" for an unknown task.
[[nodiscard]] std::string_view taskToken(std::string_view task);

}  // namespace tandem::tokenizer
