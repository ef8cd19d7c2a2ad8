// SPDX-License-Identifier: GPL-3.0-or-later
// Is it up: for service managers and panels, without a key.
#include <nlohmann/json.hpp>

#include "engine/server/api_routes.h"
#include "engine/server/chat_service.h"

namespace tandem::server {

namespace {

HttpResponse health(const api::EngineClient& engine) {
  const api::EngineState state = engine.state();
  nlohmann::ordered_json body{{"status", state == api::EngineState::Ready ? "ok" : "unavailable"},
                              {"state", api::engineStateName(state)}};
  if (const std::optional<ApiError> refusal = refusalOfState(engine)) {
    if (const std::optional<api::Phase> phase = engine.stats()->phase) {
      body["phase"] = api::phaseName(*phase);
    }
    // For clients that show what any 503 says.
    body["error"] = nlohmann::ordered_json::parse(toJson(*refusal))["error"];
  }
  HttpResponse response = jsonResponse(body.dump());
  if (state != api::EngineState::Ready) {
    response.status = 503;
    response.headers.emplace_back("Retry-After", "1");
  }
  return response;
}

}  // namespace

std::vector<Route> healthRoutes(const RouteContext& context) {
  return {{"GET",
           "/health",
           Access::Open,
           Runs::InlineOnIo,
           [&engine = context.engine](const RouteRequest&) -> Answer { return health(engine); }}};
}

}  // namespace tandem::server
