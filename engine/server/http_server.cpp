// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/http_server.h"

#include <fmt/core.h>
#include <pthread.h>

#include <algorithm>
#include <future>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/server/api_key.h"
#include "engine/server/connection.h"
#include "engine/server/listen_socket.h"
#include "engine/server/request_gate.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace tandem::server {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Out of descriptors: accepting again at once would only spin.
constexpr std::chrono::milliseconds kAcceptBackOff{100};

void nameThisThread(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
}

}  // namespace

/// Members above `ioThread_` belong to the io thread once it runs.
class HttpServer::Impl {
 public:
  Impl(ListenSocket socket,
       const std::string& host,
       const ServerOptions& options,
       ApiKeys keys,
       Router router,
       Logger& logger)
      : options_(options),
        gate_(std::move(keys), socket.loopback),
        router_(std::move(router)),
        logger_(logger),
        context_{options_, gate_, router_, front_, logger_},
        port_(socket.port),
        host_(socket.ipv6 && host.find(':') != std::string::npos ? "[" + host + "]" : host),
        acceptor_(io_),
        backOff_(io_),
        frontWork_(front_.get_executor()) {
    acceptor_.assign(socket.ipv6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), socket.fd.release());
    accept();
    for (int i = 0; i < options_.frontThreads; ++i) {
      frontThreads_.emplace_back([this] {
        nameThisThread("http-front");
        front_.run();
      });
    }
    ioThread_ = std::thread([this] {
      nameThisThread("http-io");
      io_.run();
    });
  }

  // NOLINTNEXTLINE(bugprone-exception-escape): only for want of memory, which ends the process
  ~Impl() { stop(std::chrono::milliseconds{0}); }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void stop(std::chrono::milliseconds grace) {
    if (!ioThread_.joinable()) {
      return;
    }
    std::future<void> drained = drained_.get_future();
    asio::post(io_, [this] {
      stopping_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      backOff_.cancel();
      for (Connection* connection : copyOfConnections()) {
        connection->finish();
      }
      signalIfDrained();
    });
    if (drained.wait_for(grace) != std::future_status::ready) {
      asio::post(io_, [this] {
        for (Connection* connection : copyOfConnections()) {
          connection->close();
        }
      });
    }
    // Without acceptor and connections the io thread runs out of work and returns by itself, so
    // every coroutine ends in order; front work they wait for is finished first.
    ioThread_.join();
    frontWork_.reset();
    for (std::thread& thread : frontThreads_) {
      thread.join();
    }
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::string& host() const { return host_; }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code problem, asio::ip::tcp::socket socket) {
      if (stopping_) {
        return;
      }
      if (problem) {
        logger_.warning("http", "cannot accept a connection: {}", problem.message());
        backOff_.expires_after(kAcceptBackOff);
        backOff_.async_wait([this](error_code) {
          if (!stopping_) {
            accept();
          }
        });
        return;
      }
      admit(std::move(socket));
      accept();
    });
  }

  void admit(asio::ip::tcp::socket socket) {
    const auto connection = std::make_shared<Connection>(std::move(socket), context_);
    const bool tooMany = connections_.size() >= options_.maxConnections;
    connections_.insert(connection.get());
    const auto onEnd = [this, raw = connection.get()] {
      connections_.erase(raw);
      signalIfDrained();
    };
    if (tooMany) {
      connection->refuse(onEnd);
    } else {
      connection->start(onEnd);
    }
  }

  /// Ending a connection changes the set it is in.
  [[nodiscard]] std::vector<Connection*> copyOfConnections() const {
    return {connections_.begin(), connections_.end()};
  }

  void signalIfDrained() {
    if (stopping_ && connections_.empty() && !drainSignalled_) {
      drainSignalled_ = true;
      drained_.set_value();
    }
  }

  const ServerOptions options_;
  const RequestGate gate_;
  const Router router_;
  Logger& logger_;
  asio::io_context front_;
  const ConnectionContext context_;
  const std::uint16_t port_;
  const std::string host_;
  asio::io_context io_{1};
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer backOff_;
  std::unordered_set<Connection*> connections_;
  bool stopping_ = false;
  bool drainSignalled_ = false;
  std::promise<void> drained_;
  asio::executor_work_guard<asio::io_context::executor_type> frontWork_;
  std::vector<std::thread> frontThreads_;
  std::thread ioThread_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(const api::HttpConfig& config,
                                                      const ServerOptions& options,
                                                      Router router,
                                                      Logger& logger) {
  Result<ApiKeys> keys = ApiKeys::load(config.apiKeyFile);
  if (!keys) {
    return keys.error();
  }
  Result<ListenSocket> socket = listenOn(config.host, config.port);
  if (!socket) {
    return socket.error();
  }
  if (!socket->loopback && !keys->required()) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("refusing to serve {} without an API key: anyone who reaches it "
                             "could use the model",
                             config.host),
                 "Give a key file (--api-key-file), or serve 127.0.0.1 only."};
  }
  const bool open = !keys->required();
  std::unique_ptr<HttpServer> server(new HttpServer(std::make_unique<Impl>(std::move(*socket),
                                                                           config.host,
                                                                           options,
                                                                           std::move(*keys),
                                                                           std::move(router),
                                                                           logger)));
  logger.info("http", "listening on {}{}", server->endpoint(), open ? "" : ", with an API key");
  return server;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::boundPort() const {
  return impl_->port();
}

std::string HttpServer::endpoint() const {
  return fmt::format("http://{}:{}/v1", impl_->host(), impl_->port());
}

void HttpServer::stop(std::chrono::milliseconds grace) {
  impl_->stop(grace);
}

}  // namespace tandem::server
