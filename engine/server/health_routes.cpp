// SPDX-License-Identifier: GPL-3.0-or-later
// Is it up: for service managers and panels, without a key.
#include <nlohmann/json.hpp>

#include "engine/server/api_routes.h"

namespace tandem::server {

namespace {

HttpResponse health(const api::EngineClient& engine) {
  const api::EngineState state = engine.state();
  const nlohmann::ordered_json body{
      {"status", state == api::EngineState::Ready ? "ok" : "unavailable"},
      {"state", api::engineStateName(state)}};
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
