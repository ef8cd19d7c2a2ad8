// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/control_connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "engine/protocol/control_message.h"

namespace tandem::control {

namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;

}  // namespace

bool ControlConnection::receive() {
  std::array<char, kReadBytes> buffer{};
  const ssize_t count = ::recv(fd(), buffer.data(), buffer.size(), 0);
  if (count < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  in_.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

std::optional<std::string> ControlConnection::nextLine() {
  const std::size_t end = in_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = in_.size();
    return std::nullopt;
  }
  std::string line = in_.substr(0, end);
  in_.erase(0, end + 1);
  searched_ = 0;
  return line;
}

bool ControlConnection::lineTooLong() const {
  return in_.size() >= protocol::kMaxLineBytes && searched_ == in_.size();
}

void ControlConnection::send(std::string_view line, MonotonicTime now) {
  if (unsent() == 0) {
    lastTaken_ = now;
  }
  out_.append(line);
}

bool ControlConnection::flush(MonotonicTime now) {
  while (unsent() > 0) {
    const ssize_t count = ::send(fd(), out_.data() + sent_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      const bool full = errno == EAGAIN;
      out_.erase(0, sent_);
      sent_ = 0;
      return full;
    }
    sent_ += static_cast<std::size_t>(count);
    lastTaken_ = now;
  }
  out_.clear();
  sent_ = 0;
  return true;
}

std::optional<MonotonicTime> ControlConnection::waitingSince() const {
  return unsent() > 0 ? std::optional(lastTaken_) : std::nullopt;
}

}  // namespace tandem::control
