// SPDX-License-Identifier: GPL-3.0-or-later
// A conversation as the chat encoder reads it: plain structs in the shape of the OpenAI messages.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tandem::tokenizer {

struct ChatToolCall {
  std::string id;  // pairs the call with its tool message; may be empty
  std::string name;
  std::string argumentsJson;  // an object's source text; anything else is shown to the model as is
};

struct ChatMessage {
  std::string role;     // system developer user assistant tool latest_reminder
  std::string content;  // "" for null; part lists are joined before this point
  std::string reasoningContent;
  std::vector<ChatToolCall> toolCalls;  // assistant
  std::string toolCallId;               // tool: the call that this is the result of
  std::string toolsJson;                // system, developer: an array's source text, or ""
  std::string responseFormatJson;       // system, developer: a schema's source text, or ""
  std::string task;                     // "" or action query authority domain title read_url
  bool openEnd = false;                 // assistant: no end of sentence, so that the model goes on
};

enum class ThinkingMode { Chat, Thinking };
enum class ReasoningEffort { None, Low, High, Max };

struct Conversation {
  std::vector<ChatMessage> messages;
  std::string toolsJson;           // the request's own: goes to the first system message
  std::string responseFormatJson;  // likewise
  ThinkingMode thinking = ThinkingMode::Chat;
  ReasoningEffort effort = ReasoningEffort::None;
  /// Forget the reasoning of turns before the last user message. Any tools keep it all the same.
  bool dropThinking = true;
};

/// What a released checkpoint expects where releases differ: the reasoning-effort prefixes.
enum class ChatDialect {
  V4Flash,      // max has a prefix
  V4Flash0731,  // high has that prefix, max a stronger one
};

/// "v4-flash" or "v4-flash-0731"; nothing for any other name.
[[nodiscard]] std::optional<ChatDialect> chatDialectFromName(const std::string& name);

}  // namespace tandem::tokenizer
