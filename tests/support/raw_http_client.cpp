// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/raw_http_client.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace tandem::testing {

namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::size_t numberOf(std::string_view text, int base) {
  std::size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

}  // namespace

RawHttpClient::RawHttpClient(std::uint16_t port)
    : RawHttpClient(port, 0) {}

RawHttpClient::RawHttpClient(std::uint16_t port, int receiveBufferBytes)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receiveBufferBytes > 0) {
    ::setsockopt(socket_.get(),
                 SOL_SOCKET,
                 SO_RCVBUF,
                 &receiveBufferBytes,
                 sizeof receiveBufferBytes);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    closed_ = true;
  }
}

bool RawHttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RawHttpClient::request(std::string_view method,
                            std::string_view path,
                            std::string_view body,
                            std::string_view extraHeaders) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\n{}", method, path, extraHeaders);
  if (lower(head).find("\r\nhost:") == std::string::npos) {
    head += "Host: localhost\r\n";
  }
  if (!body.empty()) {
    head += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  }
  return send(head + "\r\n") && send(body);
}

RawResponse RawHttpClient::readHead() {
  RawResponse response;
  const std::string head = readUntil("\r\n\r\n");
  if (head.size() < 12 || head.substr(head.size() - 4) != "\r\n\r\n") {
    return response;
  }
  response.status = static_cast<int>(numberOf(std::string_view(head).substr(9, 3), 10));
  std::size_t at = head.find("\r\n") + 2;
  while (at + 2 < head.size()) {
    const std::size_t end = head.find("\r\n", at);
    const std::size_t colon = head.find(": ", at);
    if (colon < end) {
      response.headers[lower(head.substr(at, colon - at))] =
          head.substr(colon + 2, end - colon - 2);
    }
    at = end + 2;
  }
  return response;
}

RawResponse RawHttpClient::read() {
  RawResponse response = readHead();
  const auto end = std::chrono::steady_clock::now() + deadline_;
  if (response.headers["transfer-encoding"] == "chunked") {
    for (;;) {
      const std::string size = readUntil("\r\n");
      const std::size_t bytes = numberOf(size, 16);
      while (buffer_.size() < bytes + 2 && fill(end)) {
      }
      if (size.empty() || buffer_.size() < bytes + 2) {
        response.status = 0;  // cut off in the middle
        return response;
      }
      response.body += take(bytes);
      take(2);
      if (bytes == 0) {
        return response;
      }
    }
  }
  const auto length = response.headers.find("content-length");
  if (length == response.headers.end()) {  // HTTP/1.0: to the end of the connection
    while (fill(end)) {
    }
    response.body = std::exchange(buffer_, "");
    return response;
  }
  const std::size_t bytes = numberOf(length->second, 10);
  while (buffer_.size() < bytes && fill(end)) {
  }
  response.body = take(std::min(bytes, buffer_.size()));
  return response;
}

std::string RawHttpClient::readUntil(std::string_view text) {
  const auto end = std::chrono::steady_clock::now() + deadline_;
  std::size_t found = buffer_.find(text);
  while (found == std::string::npos && fill(end)) {
    found = buffer_.find(text);
  }
  return found == std::string::npos ? std::exchange(buffer_, "") : take(found + text.size());
}

bool RawHttpClient::waitForClose() {
  const auto end = std::chrono::steady_clock::now() + deadline_;
  while (fill(end)) {
    buffer_.clear();
  }
  return closed_;
}

/// Reads what there is; false at the deadline or the end of the connection.
bool RawHttpClient::fill(std::chrono::steady_clock::time_point end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  pollfd poll{socket_.get(), POLLIN, 0};
  if (closed_ || left.count() <= 0 || ::poll(&poll, 1, static_cast<int>(left.count())) <= 0) {
    return false;
  }
  std::array<char, 65536> bytes{};
  const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (got <= 0) {
    closed_ = true;
    return false;
  }
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return true;
}

std::string RawHttpClient::take(std::size_t bytes) {
  std::string taken = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return taken;
}

RawResponse fetch(std::uint16_t port,
                  std::string_view method,
                  std::string_view path,
                  std::string_view body,
                  std::string_view extraHeaders) {
  RawHttpClient client(port);
  if (!client.request(method, path, body, extraHeaders)) {
    return {};
  }
  return client.read();
}

}  // namespace tandem::testing
