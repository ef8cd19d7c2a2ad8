// SPDX-License-Identifier: GPL-3.0-or-later
// Every route of the server, one function per group; each group has its own file.
#pragma once

#include <vector>

#include "engine/api/engine_client.h"
#include "engine/base/log.h"
#include "engine/server/router.h"
#include "engine/server/server_options.h"
#include "engine/tokenizer/chat_message.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem::server {

/// What handlers work with. All of it must outlive the server.
struct RouteContext {
  api::EngineClient& engine;
  const tokenizer::Tokenizer& tokenizer;
  Logger& logger;
  tokenizer::ChatDialect dialect = tokenizer::ChatDialect::V4Flash;
  bool defaultThinking = false;  // for requests that say nothing about thinking
};

/// GET /health
[[nodiscard]] std::vector<Route> healthRoutes(const RouteContext& context);
/// GET /metrics
[[nodiscard]] std::vector<Route> metricsRoutes(const RouteContext& context);
/// GET /v1/models, /v1/models/{id}
[[nodiscard]] std::vector<Route> modelRoutes(const RouteContext& context);
/// POST /v1/chat/completions, /chat/completions
[[nodiscard]] std::vector<Route> chatRoutes(const RouteContext& context);
/// POST /tokenize, /detokenize, /apply-template
[[nodiscard]] std::vector<Route> tokenizerRoutes(const RouteContext& context);

/// All of them.
[[nodiscard]] Router apiRouter(const RouteContext& context);

}  // namespace tandem::server
