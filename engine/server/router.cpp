// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/router.h"

#include <fmt/core.h>

namespace tandem::server {

namespace {

bool covers(const Route& route, std::string_view path) {
  if (route.path.back() == '/') {
    return path.size() > route.path.size() && path.substr(0, route.path.size()) == route.path;
  }
  return path == route.path;
}

}  // namespace

ApiResult<Router::Match> Router::find(std::string_view method, std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes_) {
    if (route.method == wanted && covers(route, path)) {
      const std::string_view rest =
          route.path.back() == '/' ? path.substr(route.path.size()) : std::string_view();
      return Match{&route, rest};
    }
  }
  const std::string allowed = allowedMethods(path);
  ApiError error = invalidRequest("");
  if (allowed.empty()) {
    error.status = 404;
    error.code = "unknown_url";
    error.message = fmt::format("{} {} is not a route of this server", method, path);
  } else {
    error.status = 405;
    error.code = "method_not_allowed";
    error.message = fmt::format("{} does not take {}; it takes {}", path, method, allowed);
  }
  return error;
}

std::string Router::allowedMethods(std::string_view path) const {
  std::string allowed;
  for (const Route& route : routes_) {
    if (covers(route, path)) {
      allowed += allowed.empty() ? "" : ", ";
      allowed += route.method == "GET" ? "GET, HEAD" : route.method;
    }
  }
  return allowed;
}

}  // namespace tandem::server
