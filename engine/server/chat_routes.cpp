// SPDX-License-Identifier: GPL-3.0-or-later
// Chat completions, with and without /v1: DeepSeek's own base URL has none.
#include <memory>
#include <utility>

#include "engine/server/api_routes.h"
#include "engine/server/chat_request_codec.h"
#include "engine/server/chat_service.h"

namespace tandem::server {

std::vector<Route> chatRoutes(const RouteContext& context) {
  const auto service = std::make_shared<const ChatService>(context.engine,
                                                           context.tokenizer,
                                                           context.dialect,
                                                           context.logger);
  const Handler complete =
      [service, thinking = context.defaultThinking](const RouteRequest& request) -> Answer {
    ApiResult<ChatRequest> chat = parseChatRequest(request.body, thinking);
    if (!chat) {
      return errorResponse(chat.error());
    }
    ApiResult<std::unique_ptr<LiveAnswer>> answer = service->begin(std::move(*chat));
    if (!answer) {
      return errorResponse(answer.error());
    }
    return std::move(*answer);
  };
  return {{"POST", "/v1/chat/completions", Access::NeedsKey, Runs::OnFrontThread, complete},
          {"POST", "/chat/completions", Access::NeedsKey, Runs::OnFrontThread, complete}};
}

}  // namespace tandem::server
