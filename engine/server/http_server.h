// SPDX-License-Identifier: GPL-3.0-or-later
// The HTTP server: its listening socket, its threads, its life.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/api/engine_config.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/server/router.h"
#include "engine/server/server_options.h"

namespace tandem::server {

/// Owns the io thread, the front threads and every connection.
/// Thread   start(), stop() and the destructor belong to one thread, usually main.
class HttpServer {
 public:
  /// Listens and serves the routes until stop(). `logger` must outlive the server, and so must
  /// whatever the routes' handlers refer to.
  ///
  /// Fails    AlreadyExists when the port is taken (the message names it, and its process if /proc
  ///          shows it); PermissionDenied when the host is not loopback and there is no key, or the
  ///          key file is open to others; InvalidArgument when the host has no address here.
  static Result<std::unique_ptr<HttpServer>> start(const api::HttpConfig& config,
                                                   const ServerOptions& options,
                                                   Router router,
                                                   Logger& logger);

  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// The port listened on: the configured one, or the one the system chose for port 0.
  [[nodiscard]] std::uint16_t boundPort() const;

  /// "http://127.0.0.1:8000/v1"
  [[nodiscard]] std::string endpoint() const;

  /// Accepts no more, gives open requests up to `grace` to finish, then closes everything and
  /// joins the threads. Idempotent; the destructor calls it with no grace.
  void stop(std::chrono::milliseconds grace = std::chrono::milliseconds{0});

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::server
