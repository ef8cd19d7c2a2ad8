// SPDX-License-Identifier: GPL-3.0-or-later
// The JSON body of a chat request to a ChatRequest. Pure: no sockets, no engine.
#pragma once

#include <string_view>

#include "engine/server/api_error.h"
#include "engine/server/chat_request.h"

namespace tandem::server {

/// Reads a body. Fields that would change the answer and are not supported are refused; fields that
/// are merely not needed, and unknown ones, are ignored.
///
/// body             JSON text; its UTF-8 and nesting are checked here
/// defaultThinking  for requests that say nothing about thinking
/// Fails            400 with the path of the first bad field, "messages[2].content: expected …"
/// Source           the OpenAI chat API; thinking fields of DeepSeek, vLLM and OpenRouter
ApiResult<ChatRequest> parseChatRequest(std::string_view body, bool defaultThinking);

}  // namespace tandem::server
