// SPDX-License-Identifier: GPL-3.0-or-later
// Who may ask: the checks a request passes on its head alone, before a byte of its body is kept.
#pragma once

#include <optional>
#include <string_view>

#include "engine/server/api_error.h"
#include "engine/server/api_key.h"
#include "engine/server/http_message.h"

namespace tandem::server {

/// Immutable after construction, any thread.
class RequestGate {
 public:
  /// `onLoopback`: the server listens on a loopback address only.
  RequestGate(ApiKeys keys, bool onLoopback)
      : keys_(std::move(keys)),
        onLoopback_(onLoopback) {}

  /// 401 without a valid key (`Authorization: Bearer`, or `x-api-key`).
  [[nodiscard]] std::optional<ApiError> checkKey(const RequestHead& head) const;

  /// On loopback, 403 for a Host that names another machine: a web page whose name was rebound to
  /// 127.0.0.1 sends its own name. Without a key also for a page's Origin: a browser may post
  /// across sites without asking.
  [[nodiscard]] std::optional<ApiError> checkSource(const RequestHead& head) const;

 private:
  ApiKeys keys_;
  bool onLoopback_;
};

/// "localhost", "127.x.y.z" or "[::1]", with or without a port.
[[nodiscard]] bool namesLoopback(std::string_view authority);

}  // namespace tandem::server
