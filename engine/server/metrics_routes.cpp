// SPDX-License-Identifier: GPL-3.0-or-later
// What Prometheus scrapes.
#include <memory>
#include <optional>

#include "engine/server/api_routes.h"
#include "engine/server/chat_service.h"
#include "engine/server/metrics_text.h"

namespace tandem::server {

namespace {

HttpResponse metrics(const api::EngineClient& engine) {
  const api::EngineInfo info = engine.info();
  if (info.modelName.empty()) {
    // Samples without a model would be series of their own for ever.
    if (const std::optional<ApiError> refusal = refusalOfState(engine)) {
      return errorResponse(*refusal);
    }
  }
  const std::shared_ptr<const api::EngineStats> stats = engine.stats();
  HttpResponse response;
  response.contentType = kMetricsContentType;
  response.body = metricsText(*stats, info.modelName);
  return response;
}

}  // namespace

std::vector<Route> metricsRoutes(const RouteContext& context) {
  return {{"GET",
           "/metrics",
           Access::NeedsKey,
           Runs::OnFrontThread,
           [&engine = context.engine](const RouteRequest&) -> Answer { return metrics(engine); }}};
}

}  // namespace tandem::server
