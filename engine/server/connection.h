// SPDX-License-Identifier: GPL-3.0-or-later
// One client connection: requests in, answers out, one after the other, until either side closes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/server/live_answer.h"
#include "engine/server/request_gate.h"
#include "engine/server/router.h"
#include "engine/server/server_options.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>

namespace tandem::server {

/// What all connections share; the server owns it and outlives them.
struct ConnectionContext {
  const ServerOptions& options;
  const RequestGate& gate;
  const Router& router;
  boost::asio::io_context& front;  // its threads run the heavy handlers
  Logger& logger;
};

/// Lives on the io thread, kept alive by its own coroutine. Every wait in it has a deadline.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, const ConnectionContext& context);

  /// Starts to serve; `onEnd` is called once, when the connection is closed.
  void start(std::function<void()> onEnd);

  /// Answers 503 instead of serving: there are too many connections.
  void refuse(std::function<void()> onEnd);

  /// Closes when the request in hand, if any, is answered.
  void finish();

  /// Closes now; a generation in hand is cancelled.
  void close();

 private:
  struct Exchange;  // the request in hand
  class ClientWatch;
  enum class Next { KeepOpen, Close };

  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<bool> waitForRequest();
  boost::asio::awaitable<Next> serveOne();
  boost::asio::awaitable<bool> readHead(Exchange& exchange);
  boost::asio::awaitable<bool> readBody(Exchange& exchange);
  boost::asio::awaitable<Answer> handle(const Router::Match& match, Exchange& exchange);
  boost::asio::awaitable<bool> send(Exchange& exchange, HttpResponse response);
  boost::asio::awaitable<void> refuseAndClose(Exchange& exchange, ApiError error);
  boost::asio::awaitable<bool> drive(Exchange& exchange, LiveAnswer& answer);
  boost::asio::awaitable<bool> sendStreamHead(const Exchange& exchange);
  boost::asio::awaitable<bool> sendPiece(const Exchange& exchange, std::string bytes, bool last);
  boost::asio::awaitable<void> waitUntil(MonotonicTime deadline);
  boost::asio::awaitable<void> drainAndClose();

  void watchClient();
  void clientSpoke();
  void logAccess(const Exchange& exchange, const std::string& outcome, const std::string& id);

  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  boost::asio::steady_timer wake_;  // cancelled to wake the coroutine before its deadline
  const ConnectionContext& context_;
  bool idle_ = true;               // between two requests
  bool finishing_ = false;         // no further request
  bool closed_ = false;            // close() was called
  bool watching_ = false;          // bytes from the client are read by clientSpoke()
  bool clientGone_ = false;        // seen while an answer was being made
  bool waitingForAnswer_ = false;  // an async_wait on the answer's readyFd() is under way
};

}  // namespace tandem::server
