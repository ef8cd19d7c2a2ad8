// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/api_error.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace tandem::server {

namespace {

constexpr int kRetrySeconds = 1;  // agents were seen to retry a 429 or 503 after exactly this long

int statusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
    case ErrorCode::OutOfRange:
      return 400;
    case ErrorCode::PermissionDenied:
      return 403;
    case ErrorCode::NotFound:
      return 404;
    case ErrorCode::Unavailable:
    case ErrorCode::OutOfMemory:
    case ErrorCode::Timeout:
    case ErrorCode::Cancelled:
      return 503;
    case ErrorCode::AlreadyExists:
    case ErrorCode::DataCorrupt:
    case ErrorCode::Internal:
      return 500;
  }
  return 500;
}

}  // namespace

ApiError invalidField(std::string path, const std::string& problem) {
  ApiError error = invalidRequest(fmt::format("{}: {}", path, problem));
  error.param = std::move(path);
  return error;
}

ApiError invalidRequest(std::string message) {
  return ApiError{400, "invalid_request_error", "invalid_request", "", std::move(message), {}};
}

ApiError notReady(std::string code, std::string message) {
  return ApiError{503, "server_error", std::move(code), "", std::move(message), kRetrySeconds};
}

ApiError fromError(const Error& error) {
  const int status = statusOf(error.code);
  if (status == 503) {
    return notReady("unavailable", error.text());
  }
  ApiError refusal = invalidRequest(error.text());
  refusal.status = status;
  if (status >= 500) {
    refusal.type = "server_error";
    refusal.code = "internal_error";
  }
  return refusal;
}

std::string toJson(const ApiError& error) {
  using Json = nlohmann::ordered_json;
  const auto orNull = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  const Json body{{"error",
                   {{"message", error.message},
                    {"type", error.type},
                    {"param", orNull(error.param)},
                    {"code", orNull(error.code)}}}};
  // Messages quote the client's bytes; a broken sequence becomes U+FFFD instead of an exception.
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tandem::server
