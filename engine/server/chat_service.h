// SPDX-License-Identifier: GPL-3.0-or-later
// From a checked chat request to a running generation and the answer that will come of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/engine_client.h"
#include "engine/base/log.h"
#include "engine/server/api_error.h"
#include "engine/server/chat_request.h"
#include "engine/server/live_answer.h"
#include "engine/tokenizer/chat_encoder.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem::server {

/// Stateless but for what it refers to. Any thread; begin() takes as long as the tokenizer needs.
class ChatService {
 public:
  /// `engine`, `tokenizer` and `logger` must outlive it and every answer it gave.
  ChatService(api::EngineClient& engine,
              const tokenizer::Tokenizer& tokenizer,
              tokenizer::ChatDialect dialect,
              Logger& logger)
      : engine_(engine),
        tokenizer_(tokenizer),
        encoder_(dialect),
        logger_(logger) {}

  /// Encodes the conversation and submits it, once for each choice that is asked for.
  ///
  /// Fails    400 for a logit_bias of a token that the model has not; 503 while the engine is
  /// loading or stopping; 400 context_length_exceeded when the
  ///          prompt leaves no room for a token; 429 when the queue has no place for all choices
  [[nodiscard]] ApiResult<std::unique_ptr<LiveAnswer>> begin(ChatRequest request) const;

 private:
  struct Prompt {
    std::vector<TokenId> tokens;
    std::string forcedPrefix;  // the end of the prompt that belongs to the answer
  };
  [[nodiscard]] ApiResult<Prompt> encode(const ChatRequest& request) const;
  /// Of a prompt that ends inside the thinking. Nothing for a tokenizer that knows no end of it.
  [[nodiscard]] std::optional<api::ThinkingBudget> thinkingBudget(std::int64_t tokens) const;

  api::EngineClient& engine_;
  const tokenizer::Tokenizer& tokenizer_;
  tokenizer::ChatEncoder encoder_;
  Logger& logger_;
};

/// Nothing while the engine serves; otherwise the 503 that says what it is doing.
[[nodiscard]] std::optional<ApiError> refusalOfState(const api::EngineClient& engine);

}  // namespace tandem::server
