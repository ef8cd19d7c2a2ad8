// SPDX-License-Identifier: GPL-3.0-or-later
// An HTTP client that can misbehave: it sends the bytes it is given and shows the bytes it gets.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/file_descriptor.h"

namespace tandem::testing {

struct RawResponse {
  int status = 0;                              // 0: the connection closed or the deadline passed
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

/// One connection to 127.0.0.1. Blocks, but never longer than its deadline per call.
class RawHttpClient {
 public:
  explicit RawHttpClient(std::uint16_t port);

  /// With a receive buffer of about that size, so that a reader who stops is felt soon.
  RawHttpClient(std::uint16_t port, int receiveBufferBytes);

  [[nodiscard]] bool send(std::string_view bytes);

  /// Sends a request with a Host header and, if there is a body, its length.
  [[nodiscard]] bool request(std::string_view method,
                             std::string_view path,
                             std::string_view body = {},
                             std::string_view extraHeaders = {});

  /// Reads a response to its end.
  RawResponse read();

  /// Reads only the head; the body is left for readUntil().
  RawResponse readHead();

  /// Reads until `text` has come; gives everything up to its end, or what came before the deadline.
  std::string readUntil(std::string_view text);

  /// True if the server closes the connection before the deadline. Drops what comes before that.
  [[nodiscard]] bool waitForClose();

  void close() { socket_.reset(); }
  void setDeadline(std::chrono::milliseconds deadline) { deadline_ = deadline; }

 private:
  bool fill(std::chrono::steady_clock::time_point end);
  std::string take(std::size_t bytes);

  FileDescriptor socket_;
  std::string buffer_;
  bool closed_ = false;
  std::chrono::milliseconds deadline_{60'000};
};

/// A request on a connection of its own.
RawResponse fetch(std::uint16_t port,
                  std::string_view method,
                  std::string_view path,
                  std::string_view body = {},
                  std::string_view extraHeaders = {});

}  // namespace tandem::testing
