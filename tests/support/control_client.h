// SPDX-License-Identifier: GPL-3.0-or-later
// A client of the control socket that tests write lines with and read lines from.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/file_descriptor.h"
#include "engine/protocol/control_message.h"

namespace tandem::testing {

/// Waits for lines, never for time; gives up after `kPatience`.
class ControlClient {
 public:
  static constexpr std::chrono::seconds kPatience{30};

  explicit ControlClient(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ =
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return socket_.get(); }

  /// False when the other end is gone.
  bool send(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count =
          ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      sent += static_cast<std::size_t>(count);
    }
    return true;
  }
  bool send(const protocol::ControlRequest& request) { return send(protocol::encode(request)); }

  /// Says hello and subscribes. False when that was refused.
  bool subscribe(const protocol::Topics& topics) {
    return send(protocol::ControlRequest{1, protocol::HelloRequest{"test"}}) &&
           find<protocol::Hello>() &&
           send(protocol::ControlRequest{2, protocol::SubscribeRequest{topics}}) &&
           find<protocol::Subscribed>();
  }

  void closeSending() const { ::shutdown(socket_.get(), SHUT_WR); }

  /// The next line without its newline; nothing at the end of the connection or of the patience.
  std::optional<std::string> line() {
    const MonotonicTime deadline = std::chrono::steady_clock::now() + kPatience;
    while (true) {
      const std::size_t end = received_.find('\n', read_);
      if (end != std::string::npos) {
        std::string line = received_.substr(read_, end - read_);
        read_ = end + 1;
        return line;
      }
      received_.erase(0, read_);
      read_ = 0;
      pollfd entry{socket_.get(), POLLIN, 0};
      std::array<char, 65536> buffer{};
      if (::poll(&entry, 1, pollTimeout(deadline)) != 1) {
        return std::nullopt;
      }
      const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        ended_ = true;
        return std::nullopt;
      }
      received_.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

  /// The next message; nothing at the end, or for a line that cannot be read.
  std::optional<protocol::ControlMessage> message() {
    while (const std::optional<std::string> text = line()) {
      Result<std::optional<protocol::ControlMessage>> read = protocol::decodeMessage(*text);
      if (!read || *read) {
        return read ? std::move(*read) : std::nullopt;
      }
    }
    return std::nullopt;
  }

  /// The next message of a kind that `wanted` accepts; others are passed over.
  template <typename Body, typename Wanted>
  std::optional<Body> find(Wanted wanted) {
    while (std::optional<protocol::ControlMessage> next = message()) {
      if (Body* body = std::get_if<Body>(&next->body); body != nullptr && wanted(*body)) {
        return std::move(*body);
      }
    }
    return std::nullopt;
  }
  template <typename Body>
  std::optional<Body> find() {
    return find<Body>([](const Body&) { return true; });
  }

  /// Reads to the end of the connection. False when it stays open.
  bool readToEnd() {
    while (line()) {
    }
    return ended_;
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  FileDescriptor socket_;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
  std::size_t read_ = 0;  // of received_
};

}  // namespace tandem::testing
