// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/api_routes.h"

#include <iterator>
#include <utility>

namespace tandem::server {

Router apiRouter(const RouteContext& context) {
  std::vector<Route> routes;
  for (std::vector<Route> group : {healthRoutes(context),
                                   metricsRoutes(context),
                                   modelRoutes(context),
                                   chatRoutes(context),
                                   tokenizerRoutes(context)}) {
    routes.insert(routes.end(),
                  std::make_move_iterator(group.begin()),
                  std::make_move_iterator(group.end()));
  }
  return Router(std::move(routes));
}

}  // namespace tandem::server
