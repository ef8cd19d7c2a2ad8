// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/http_message.h"

#include <charconv>

namespace tandem::server {

HttpResponse jsonResponse(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

HttpResponse errorResponse(const ApiError& error) {
  HttpResponse response = jsonResponse(toJson(error));
  response.status = error.status;
  if (error.retryAfterSeconds) {
    response.headers.emplace_back("Retry-After", std::to_string(*error.retryAfterSeconds));
  }
  return response;
}

ApiResult<std::string> pathOfTarget(std::string_view target) {
  if (target.empty() || target.front() != '/') {
    return invalidRequest("the request target must begin with /");
  }
  target = target.substr(0, target.find('?'));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    const std::string_view digits = target.substr(i + 1, 2);
    unsigned int byte = 0;
    const auto [end, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() < 2 || problem != std::errc() || end != digits.data() + 2) {
      return invalidRequest("the request target has a broken % escape");
    }
    path += static_cast<char>(byte);
    i += 2;
  }
  return path;
}

}  // namespace tandem::server
