// SPDX-License-Identifier: GPL-3.0-or-later
// The only file that parses and writes HTTP: Beast and the coroutines stay in here.
#include "engine/server/connection.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <cerrno>
#include <exception>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http.hpp>

namespace tandem::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes = 16 * kKiB;
constexpr std::size_t kMaxPipelinedBytes = 64 * kKiB;  // kept while an answer is being made
constexpr std::chrono::milliseconds kLinger{2000};     // for the client to read a refusal
constexpr int kSendBufferBytes = 256 * 1024;           // in the kernel: a stalled client shows soon

/// Completion token: resumes the coroutine with the error in `problem` instead of throwing it.
auto into(error_code& problem) {
  return asio::redirect_error(asio::use_awaitable, problem);
}

std::string field(const http::fields& fields, http::field name) {
  return std::string(fields[name]);
}

ApiError headError(error_code problem, const ServerOptions& options) {
  ApiError error =
      invalidRequest(fmt::format("the request is not HTTP/1.1: {}", problem.message()));
  if (problem == http::error::header_limit) {
    error.status = 431;
    error.code = "headers_too_large";
    error.message = fmt::format("the headers exceed {}", formatBytes(options.maxHeaderBytes));
  } else if (problem == http::error::body_limit) {
    error.status = 413;
    error.code = "request_too_large";
    error.message = fmt::format("the body exceeds {}", formatBytes(options.maxBodyBytes));
  }
  return error;
}

bool isParseError(error_code problem) {
  return problem.category() == make_error_code(http::error::header_limit).category() &&
         problem != http::error::end_of_stream && problem != http::error::partial_message;
}

/// For waits that end by a wake-up.
MonotonicTime farAway() {
  return std::chrono::steady_clock::now() + std::chrono::hours(1);
}

/// Lets Asio wait for a descriptor that somebody else owns.
class BorrowedDescriptor {
 public:
  BorrowedDescriptor(const asio::any_io_executor& executor, int fd)
      : descriptor_(executor, fd) {}
  ~BorrowedDescriptor() { descriptor_.release(); }
  BorrowedDescriptor(const BorrowedDescriptor&) = delete;
  BorrowedDescriptor& operator=(const BorrowedDescriptor&) = delete;

  asio::posix::stream_descriptor& operator*() { return descriptor_; }

 private:
  asio::posix::stream_descriptor descriptor_;
};

}  // namespace

struct Connection::Exchange {
  http::request_parser<http::string_body> parser;
  MonotonicTime started = std::chrono::steady_clock::now();
  RequestHead head;
  unsigned int version = 11;
  bool keepAlive = false;
  bool headOnly = false;  // method HEAD
  int status = 0;
};

/// Notices a client that leaves while its answer is being made; ends with its scope.
class Connection::ClientWatch {
 public:
  explicit ClientWatch(Connection& connection)
      : connection_(connection) {
    connection_.watching_ = true;
    connection_.watchClient();
  }
  ~ClientWatch() {
    connection_.watching_ = false;
    error_code ignored;
    connection_.stream_.socket().cancel(ignored);
  }
  ClientWatch(const ClientWatch&) = delete;
  ClientWatch& operator=(const ClientWatch&) = delete;

 private:
  Connection& connection_;
};

Connection::Connection(asio::ip::tcp::socket socket, const ConnectionContext& context)
    : stream_(std::move(socket)),
      wake_(stream_.get_executor()),
      context_(context) {
  error_code ignored;  // a socket that is gone already shows at the first read
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  stream_.socket().set_option(asio::socket_base::send_buffer_size(kSendBufferBytes), ignored);
}

void Connection::start(std::function<void()> onEnd) {
  asio::co_spawn(
      stream_.get_executor(),
      [self = shared_from_this()] { return self->serve(); },
      [self = shared_from_this(), onEnd = std::move(onEnd)](const std::exception_ptr& problem) {
        if (problem) {
          try {
            std::rethrow_exception(problem);
          } catch (const std::exception& e) {
            self->context_.logger.error("http", "a connection ended by an exception: {}", e.what());
          }
        }
        self->stream_.close();
        onEnd();
      });
}

void Connection::refuse(std::function<void()> onEnd) {
  finishing_ = true;
  asio::co_spawn(
      stream_.get_executor(),
      [self = shared_from_this()]() -> asio::awaitable<void> {
        Exchange exchange;
        co_await self->refuseAndClose(
            exchange,
            notReady("too_many_connections",
                     fmt::format("this server keeps at most {} connections open",
                                 self->context_.options.maxConnections)));
      },
      [self = shared_from_this(), onEnd = std::move(onEnd)](const std::exception_ptr&) {
        self->stream_.close();
        onEnd();
      });
}

void Connection::finish() {
  finishing_ = true;
  if (idle_) {
    close();
  }
}

void Connection::close() {
  closed_ = true;
  clientGone_ = true;
  stream_.close();
  wake_.cancel();
}

asio::awaitable<void> Connection::serve() {
  while (!finishing_ && !closed_) {
    idle_ = true;
    if (!co_await waitForRequest()) {
      co_return;
    }
    idle_ = false;
    if (co_await serveOne() == Next::Close) {
      break;
    }
  }
  error_code ignored;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
}

/// Waits for the first byte, which may take long on a kept-alive connection.
asio::awaitable<bool> Connection::waitForRequest() {
  if (buffer_.size() > 0) {
    co_return true;
  }
  error_code problem;
  stream_.expires_after(context_.options.idleTimeout);
  const std::size_t bytes =
      co_await stream_.async_read_some(buffer_.prepare(kReadBytes), into(problem));
  buffer_.commit(bytes);
  co_return !problem && !closed_;
}

asio::awaitable<Connection::Next> Connection::serveOne() {
  Exchange exchange;
  if (!co_await readHead(exchange)) {
    co_return Next::Close;
  }
  std::optional<ApiError> refusal = context_.gate.checkSource(exchange.head);
  ApiResult<Router::Match> match = context_.router.find(exchange.head.method, exchange.head.path);
  if (!refusal && !(match && match->route->access == Access::Open)) {
    refusal = context_.gate.checkKey(exchange.head);
  }
  if (!refusal && !match) {
    refusal = match.error();
  }
  if (refusal) {
    co_await refuseAndClose(exchange, std::move(*refusal));
    co_return Next::Close;
  }
  if (!co_await readBody(exchange)) {
    co_return Next::Close;
  }

  Answer answer = co_await handle(*match, exchange);
  bool sent = false;
  if (auto* response = std::get_if<HttpResponse>(&answer)) {
    exchange.status = response->status;
    sent = co_await send(exchange, std::move(*response));
    logAccess(exchange, sent ? "" : "client left", "");
  } else {
    const std::unique_ptr<LiveAnswer> live =
        std::get<std::unique_ptr<LiveAnswer>>(std::move(answer));
    sent = co_await drive(exchange, *live);
    logAccess(exchange, (sent ? "" : "client left, ") + live->summary(), live->id());
  }
  co_return sent&& exchange.keepAlive && !finishing_ ? Next::KeepOpen : Next::Close;
}

asio::awaitable<bool> Connection::readHead(Exchange& exchange) {
  exchange.parser.header_limit(static_cast<std::uint32_t>(context_.options.maxHeaderBytes));
  exchange.parser.body_limit(context_.options.maxBodyBytes);
  error_code problem;
  stream_.expires_after(context_.options.headerTimeout);
  co_await http::async_read_header(stream_, buffer_, exchange.parser, into(problem));
  if (isParseError(problem)) {
    co_await refuseAndClose(exchange, headError(problem, context_.options));
    co_return false;
  }
  if (problem) {
    co_return false;  // gone, or too slow to deserve an answer
  }
  const auto& message = exchange.parser.get();
  exchange.version = message.version();
  exchange.keepAlive = message.keep_alive();
  exchange.head.method = std::string(message.method_string());
  exchange.headOnly = exchange.head.method == "HEAD";
  exchange.head.host = field(message, http::field::host);
  exchange.head.origin = field(message, http::field::origin);
  exchange.head.authorization = field(message, http::field::authorization);
  exchange.head.contentEncoding = field(message, http::field::content_encoding);
  exchange.head.xApiKey = std::string(message["x-api-key"]);
  const auto target = message.target();
  ApiResult<std::string> path = pathOfTarget(std::string_view(target.data(), target.size()));
  if (!path) {
    co_await refuseAndClose(exchange, path.error());
    co_return false;
  }
  exchange.head.path = std::move(*path);
  co_return true;
}

asio::awaitable<bool> Connection::readBody(Exchange& exchange) {
  const std::string& encoding = exchange.head.contentEncoding;
  if (!encoding.empty() && encoding != "identity") {
    ApiError error = invalidRequest(fmt::format("Content-Encoding {} is not supported", encoding));
    error.status = 415;
    co_await refuseAndClose(exchange, std::move(error));
    co_return false;
  }
  error_code problem;
  stream_.expires_after(context_.options.bodyTimeout);
  if (beast::iequals(exchange.parser.get()[http::field::expect], "100-continue")) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await asio::async_write(stream_, asio::buffer(kContinue), into(problem));
  }
  if (!problem && !exchange.parser.is_done()) {
    co_await http::async_read(stream_, buffer_, exchange.parser, into(problem));
  }
  if (isParseError(problem)) {
    co_await refuseAndClose(exchange, headError(problem, context_.options));
    co_return false;
  }
  if (problem == beast::error::timeout) {
    ApiError error = invalidRequest(
        fmt::format("the body did not arrive within {} ms", context_.options.bodyTimeout.count()));
    error.status = 408;
    error.code = "request_timeout";
    co_await refuseAndClose(exchange, std::move(error));
  }
  co_return !problem;
}

/// Runs the handler where its route says. The front thread's work refers to this coroutine's frame,
/// which stays: the loop ends only when the work is done.
asio::awaitable<Answer> Connection::handle(const Router::Match& match, Exchange& exchange) {
  std::optional<Answer> answer;
  const auto run = [&match, &exchange, this]() -> Answer {
    try {
      return match.route->handler(
          RouteRequest{match.rest, std::move(exchange.parser.get().body())});
    } catch (const std::exception& e) {
      context_.logger.error("http",
                            "{} {}: {}",
                            exchange.head.method,
                            exchange.head.path,
                            e.what());
      return errorResponse(ApiError{500,
                                    "server_error",
                                    "internal_error",
                                    "",
                                    "the server failed at this request; its log has the reason",
                                    {}});
    }
  };
  if (match.route->runs == Runs::InlineOnIo) {
    co_return run();
  }
  asio::post(context_.front, [&run, &answer, self = shared_from_this()]() mutable {
    Answer made = run();
    const auto executor = self->stream_.get_executor();
    asio::post(executor, [&answer, made = std::move(made), self = std::move(self)]() mutable {
      answer = std::move(made);
      self->wake_.cancel();
    });
  });
  while (!answer) {
    co_await waitUntil(farAway());
  }
  co_return std::move(*answer);
}

asio::awaitable<bool> Connection::send(Exchange& exchange, HttpResponse response) {
  exchange.status = response.status;
  http::response<http::string_body> message;
  message.version(exchange.version);
  message.result(static_cast<unsigned int>(response.status));
  message.set(http::field::server, "tandem");
  message.set(http::field::content_type, response.contentType);
  for (const auto& [name, value] : response.headers) {
    message.set(name, value);
  }
  message.keep_alive(exchange.keepAlive && !finishing_);
  message.body() = std::move(response.body);
  message.prepare_payload();
  http::response_serializer<http::string_body> serializer(message);
  error_code problem;
  stream_.expires_after(context_.options.writeTimeout);
  if (exchange.headOnly) {
    co_await http::async_write_header(stream_, serializer, into(problem));
  } else {
    co_await http::async_write(stream_, serializer, into(problem));
  }
  co_return !problem;
}

asio::awaitable<void> Connection::refuseAndClose(Exchange& exchange, ApiError error) {
  exchange.keepAlive = false;
  HttpResponse response = errorResponse(error);
  if (error.status == 405) {
    response.headers.emplace_back("Allow", context_.router.allowedMethods(exchange.head.path));
  }
  if (error.status == 401) {
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
  }
  if (co_await send(exchange, std::move(response))) {
    co_await drainAndClose();
  }
  logAccess(exchange, error.message, "");
}

/// Reads on for a moment after a refusal: closing with unread bytes in the kernel would reset the
/// connection, and the reset would overtake the refusal.
asio::awaitable<void> Connection::drainAndClose() {
  error_code problem;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, problem);
  stream_.expires_after(kLinger);
  while (!problem && !closed_) {
    buffer_.clear();
    co_await stream_.async_read_some(buffer_.prepare(kReadBytes), into(problem));
  }
}

/// Sends an answer as it is made. False when the client left first, or takes nothing.
asio::awaitable<bool> Connection::drive(Exchange& exchange, LiveAnswer& answer) {
  exchange.status = 200;
  clientGone_ = closed_;
  if (answer.streams() && !co_await sendStreamHead(exchange)) {
    co_return false;
  }
  const ClientWatch watch(*this);
  BorrowedDescriptor ready(stream_.get_executor(), answer.readyFd());
  MonotonicTime lastSent = std::chrono::steady_clock::now();
  waitingForAnswer_ = false;
  while (!clientGone_) {
    LiveAnswer::Step step = answer.advance();
    if (step.response) {
      co_return co_await send(exchange, std::move(*step.response));
    }
    const bool silent =
        std::chrono::steady_clock::now() - lastSent >= context_.options.keepAliveEvery;
    if (answer.streams() && step.bytes.empty() && !step.done && silent) {
      step.bytes = ": keep-alive\n\n";
    }
    if (!step.bytes.empty() || step.done) {
      if (!co_await sendPiece(exchange, std::move(step.bytes), step.done)) {
        co_return false;
      }
      lastSent = std::chrono::steady_clock::now();
    }
    if (step.done) {
      co_return true;
    }
    if (step.more) {
      co_await asio::post(stream_.get_executor(), asio::use_awaitable);
      continue;
    }
    if (!waitingForAnswer_) {
      waitingForAnswer_ = true;
      (*ready).async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](error_code problem) {
                            if (!problem) {
                              self->waitingForAnswer_ = false;
                              self->wake_.cancel();
                            }
                          });
    }
    if (!clientGone_) {
      co_await waitUntil(answer.streams() ? lastSent + context_.options.keepAliveEvery : farAway());
    }
  }
  co_return false;
}

asio::awaitable<bool> Connection::sendStreamHead(const Exchange& exchange) {
  http::response<http::empty_body> message;
  message.version(exchange.version);
  message.result(http::status::ok);
  message.set(http::field::server, "tandem");
  message.set(http::field::content_type, "text/event-stream; charset=utf-8");
  message.set(http::field::cache_control, "no-cache");
  message.set("X-Accel-Buffering", "no");  // a proxy in between must not collect events
  message.keep_alive(exchange.keepAlive && !finishing_);
  message.chunked(exchange.version >= 11);
  http::response_serializer<http::empty_body> serializer(message);
  error_code problem;
  stream_.expires_after(context_.options.writeTimeout);
  co_await http::async_write_header(stream_, serializer, into(problem));
  co_return !problem;
}

asio::awaitable<bool> Connection::sendPiece(const Exchange& exchange,
                                            std::string bytes,
                                            bool last) {
  error_code problem;
  stream_.expires_after(context_.options.writeTimeout);
  if (exchange.version < 11) {  // HTTP/1.0 knows no chunks: the stream ends with the connection
    co_await asio::async_write(stream_, asio::buffer(bytes), into(problem));
    co_return !problem;
  }
  if (!bytes.empty()) {
    co_await asio::async_write(stream_, http::make_chunk(asio::buffer(bytes)), into(problem));
  }
  if (!problem && last) {
    co_await asio::async_write(stream_, http::make_chunk_last(), into(problem));
  }
  co_return !problem;
}

/// Returns at the deadline, or as soon as wake_ is cancelled.
asio::awaitable<void> Connection::waitUntil(MonotonicTime deadline) {
  error_code cancelled;
  wake_.expires_at(deadline);
  co_await wake_.async_wait(into(cancelled));
}

void Connection::watchClient() {
  stream_.socket().async_wait(asio::ip::tcp::socket::wait_read,
                              [self = shared_from_this()](error_code problem) {
                                if (!problem && self->watching_) {
                                  self->clientSpoke();
                                }
                              });
}

/// Bytes while an answer is being made: the next request, kept for later, or the end.
void Connection::clientSpoke() {
  const auto space = buffer_.prepare(kReadBytes);
  const ssize_t got =
      ::recv(stream_.socket().native_handle(), space.data(), space.size(), MSG_DONTWAIT);
  if (got > 0) {
    buffer_.commit(static_cast<std::size_t>(got));
  }
  const bool nothingYet = got < 0 && (errno == EAGAIN || errno == EINTR);
  if (got > 0 || nothingYet) {
    if (buffer_.size() < kMaxPipelinedBytes) {
      watchClient();
    }
    return;
  }
  clientGone_ = true;
  wake_.cancel();
}

void Connection::logAccess(const Exchange& exchange,
                           const std::string& outcome,
                           const std::string& id) {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - exchange.started;
  context_.logger.write(LogLevel::Info,
                        "http",
                        id,
                        fmt::format("{} {} {} in {:.3f} s{}{}",
                                    exchange.head.method,
                                    exchange.head.path,
                                    exchange.status,
                                    took.count(),
                                    outcome.empty() ? "" : ": ",
                                    outcome));
}

}  // namespace tandem::server
