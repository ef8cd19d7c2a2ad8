// SPDX-License-Identifier: GPL-3.0-or-later
// The two forms of a chat answer: a stream of chunks, or one object at the end.
#pragma once

#include <memory>
#include <vector>

#include "engine/base/result.h"
#include "engine/server/chat_reply.h"
#include "engine/server/chat_request.h"
#include "engine/server/generation.h"
#include "engine/server/live_answer.h"

namespace tandem::server {

/// As the request asked: streamed or whole. Every generation is a choice, by its place; when one
/// fails, all of the answer does.
///
/// Fails    Unavailable when the process is out of file descriptors
[[nodiscard]] Result<std::unique_ptr<LiveAnswer>> makeChatAnswer(
    const ChatRequest& request,
    ReplyHead head,
    std::vector<std::unique_ptr<Generation>> generations);

}  // namespace tandem::server
