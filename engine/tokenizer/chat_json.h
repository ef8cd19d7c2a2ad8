// SPDX-License-Identifier: GPL-3.0-or-later
// The OpenAI spelling of a conversation, read into the encoder's structs.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/tokenizer/chat_message.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

/// Reads a `messages` array. Part lists are joined: texts by an empty line, other parts as
/// "[Unsupported TYPE]". `reasoning` is read like `reasoning_content`, `prefix` like `wo_eos`;
/// unknown fields are ignored.
///
/// Fails   InvalidArgument when a field has the wrong type, with its path ("messages[2].content")
Result<std::vector<ChatMessage>> messagesFromJson(const JsonValue& messages);

/// Reads {"messages", "tools", "thinking", "reasoning_effort", "drop_thinking", "response_format"}.
/// `thinking` is a bool; `reasoning_effort` none, low, high or max.
///
/// Fails   as messagesFromJson
Result<Conversation> conversationFromJson(const JsonValue& request);

/// "none", "low", "high" or "max".
///
/// Fails   InvalidArgument for any other name
Result<ReasoningEffort> reasoningEffortFromName(std::string_view name);

}  // namespace tandem::tokenizer
