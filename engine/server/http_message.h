// SPDX-License-Identifier: GPL-3.0-or-later
// HTTP requests and responses as plain values: handlers and their tests see no socket library.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/server/api_error.h"

namespace tandem::server {

/// The head of a request, as far as this server looks at it.
struct RequestHead {
  std::string method;  // "GET", upper case as sent
  std::string path;    // percent-decoded, without the query
  std::string host;
  std::string origin;
  std::string authorization;
  std::string xApiKey;
  std::string contentEncoding;
};

struct HttpResponse {
  int status = 200;
  std::string contentType = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

[[nodiscard]] HttpResponse jsonResponse(std::string body);
[[nodiscard]] HttpResponse errorResponse(const ApiError& error);

/// The path of a request target ("/v1/models/a%2Fb?x=1" → "/v1/models/a/b").
/// Fails with 400 when it is not in origin form or an escape is broken.
ApiResult<std::string> pathOfTarget(std::string_view target);

}  // namespace tandem::server
