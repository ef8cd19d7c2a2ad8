// SPDX-License-Identifier: GPL-3.0-or-later
// Which model is served, under the many names that clients look for its context length.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "engine/base/clock.h"
#include "engine/server/api_routes.h"
#include "engine/server/chat_service.h"

namespace tandem::server {

namespace {

using Json = nlohmann::ordered_json;

/// Names under which clients ask for this model; chat accepts any name at all.
constexpr std::array<std::string_view, 3> kAliases{"deepseek-chat",
                                                   "deepseek-reasoner",
                                                   "deepseek-v4-flash"};

const char* dialectName(tokenizer::ChatDialect dialect) {
  switch (dialect) {
    case tokenizer::ChatDialect::V4Flash:
      return "v4-flash";
    case tokenizer::ChatDialect::V4Flash0731:
      return "v4-flash-0731";
  }
  return "v4-flash";
}

Json modelJson(const std::string& id,
               const api::EngineInfo& info,
               tokenizer::ChatDialect dialect,
               std::int64_t createdSeconds) {
  return {{"id", id},
          {"object", "model"},
          {"created", createdSeconds},
          {"owned_by", "tandem"},
          {"max_model_len", info.contextTokens},
          {"context_length", info.contextTokens},
          {"max_completion_tokens", info.contextTokens},
          {"chat_encoding", dialectName(dialect)},
          {"system_fingerprint", info.fingerprint},
          {"meta",
           {{"n_ctx", info.contextTokens},
            {"n_ctx_train", info.contextTokens},
            {"n_vocab", info.vocabSize},
            {"ranks", info.ranks},
            {"backend", info.backend},
            {"numerics", info.numerics}}}};
}

}  // namespace

std::vector<Route> modelRoutes(const RouteContext& context) {
  const std::int64_t created = wallMilliseconds() / 1000;
  const Handler list = [context, created](const RouteRequest&) -> Answer {
    if (const std::optional<ApiError> refusal = refusalOfState(context.engine)) {
      return errorResponse(*refusal);
    }
    const api::EngineInfo info = context.engine.info();
    const Json body{
        {"object", "list"},
        {"data", Json::array({modelJson(info.modelName, info, context.dialect, created)})}};
    return jsonResponse(body.dump());
  };
  const Handler one = [context, created](const RouteRequest& request) -> Answer {
    if (const std::optional<ApiError> refusal = refusalOfState(context.engine)) {
      return errorResponse(*refusal);
    }
    const api::EngineInfo info = context.engine.info();
    const std::string id(request.rest);
    if (id != info.modelName && std::find(kAliases.begin(), kAliases.end(), id) == kAliases.end()) {
      ApiError error = invalidRequest(
          fmt::format("there is no model {}; this server has {}", id, info.modelName));
      error.status = 404;
      error.code = "model_not_found";
      error.param = "model";
      return errorResponse(error);
    }
    const Json body = modelJson(id, info, context.dialect, created);
    return jsonResponse(body.dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  return {{"GET", "/v1/models", Access::NeedsKey, Runs::InlineOnIo, list},
          {"GET", "/models", Access::NeedsKey, Runs::InlineOnIo, list},
          {"GET", "/v1/models/", Access::NeedsKey, Runs::InlineOnIo, one}};
}

}  // namespace tandem::server
