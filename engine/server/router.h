// SPDX-License-Identifier: GPL-3.0-or-later
// The table of routes: method and path to handler.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/server/api_error.h"
#include "engine/server/http_message.h"
#include "engine/server/live_answer.h"

namespace tandem::server {

/// A request as its handler sees it.
struct RouteRequest {
  std::string_view rest;  // of the path, behind a prefix route's path
  std::string body;
};

using Handler = std::function<Answer(const RouteRequest&)>;

enum class Access { Open, NeedsKey };

/// Where a handler runs. Inline ones must finish in microseconds.
enum class Runs { InlineOnIo, OnFrontThread };

struct Route {
  std::string_view method;
  std::string_view path;  // ends with '/': matches everything behind it too
  Access access;
  Runs runs;
  Handler handler;
};

/// Immutable after construction, any thread.
class Router {
 public:
  struct Match {
    const Route* route;
    std::string_view rest;  // of the path that was asked for
  };

  explicit Router(std::vector<Route> routes)
      : routes_(std::move(routes)) {}

  /// HEAD finds the GET route.
  /// Fails    404 for an unknown path; 405 for a known path with another method.
  [[nodiscard]] ApiResult<Match> find(std::string_view method, std::string_view path) const;

  /// "GET, HEAD" for the Allow header; "" for unknown paths.
  [[nodiscard]] std::string allowedMethods(std::string_view path) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace tandem::server
