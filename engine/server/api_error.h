// SPDX-License-Identifier: GPL-3.0-or-later
// A refusal as an OpenAI client sees it: an HTTP status and the fields of its error object.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "engine/base/result.h"

namespace tandem::server {

/// One refusal. `code` and `param` are null in JSON when empty.
struct [[nodiscard]] ApiError {
  int status = 500;
  std::string type;                      // "invalid_request_error", "server_error", …
  std::string code;                      // "context_length_exceeded", "model_loading", …
  std::string param;                     // the field's path: "messages[2].content"
  std::string message;                   // for people; agents match some of these texts
  std::optional<int> retryAfterSeconds;  // becomes the Retry-After header
};

/// 400 for the field at `path`; the message reads "path: problem".
ApiError invalidField(std::string path, const std::string& problem);

/// 400 that is about no single field.
ApiError invalidRequest(std::string message);

/// 503 with Retry-After: not now, but later.
ApiError notReady(std::string code, std::string message);

/// What an engine or tokenizer failure means to an HTTP client.
ApiError fromError(const Error& error);

/// {"error":{"message":…,"type":…,"param":…,"code":…}}
[[nodiscard]] std::string toJson(const ApiError& error);

/// A value, or the refusal that stopped it from being made.
template <typename T>
class [[nodiscard]] ApiResult {
 public:
  ApiResult(T value)  // NOLINT(google-explicit-constructor): `return value;` is the point
      : state_(std::in_place_index<0>, std::move(value)) {}
  ApiResult(ApiError error)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& operator*() & { return std::get<0>(state_); }
  [[nodiscard]] const T& operator*() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& operator*() && { return std::get<0>(std::move(state_)); }
  [[nodiscard]] T* operator->() { return &std::get<0>(state_); }
  [[nodiscard]] const T* operator->() const { return &std::get<0>(state_); }

  [[nodiscard]] const ApiError& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, ApiError> state_;
};

}  // namespace tandem::server
