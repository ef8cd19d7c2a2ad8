// SPDX-License-Identifier: GPL-3.0-or-later
// The two forms of a chat answer: a stream of chunks, or one object at the end.
#pragma once

#include <memory>

#include "engine/server/chat_reply.h"
#include "engine/server/chat_request.h"
#include "engine/server/generation.h"
#include "engine/server/live_answer.h"

namespace tandem::server {

/// As the request asked: streamed or whole.
[[nodiscard]] std::unique_ptr<LiveAnswer> makeChatAnswer(const ChatRequest& request,
                                                         ReplyHead head,
                                                         std::unique_ptr<Generation> generation);

}  // namespace tandem::server
