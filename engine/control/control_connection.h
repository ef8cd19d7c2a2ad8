// SPDX-License-Identifier: GPL-3.0-or-later
// One client's socket: lines in, lines out, both bounded.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/file_descriptor.h"

namespace tandem::control {

/// Not for several threads. The socket must not block.
class ControlConnection {
 public:
  /// Senders stop at this much unsent; what they send last may go over it by a line.
  static constexpr std::size_t kRoom = std::size_t{256} << 10U;

  explicit ControlConnection(FileDescriptor socket)
      : socket_(std::move(socket)) {}

  [[nodiscard]] int fd() const { return socket_.get(); }

  // In

  /// Takes what has arrived. False when the client is gone or its socket broke.
  [[nodiscard]] bool receive();

  /// The next whole line without its newline.
  [[nodiscard]] std::optional<std::string> nextLine();

  /// More has come without a newline than a line may have.
  [[nodiscard]] bool lineTooLong() const;

  // Out

  [[nodiscard]] bool hasRoom() const { return unsent() < kRoom; }
  [[nodiscard]] std::size_t unsent() const { return out_.size() - sent_; }

  void send(std::string_view line, MonotonicTime now);

  /// Gives the kernel what it takes. False when the client is gone.
  [[nodiscard]] bool flush(MonotonicTime now);

  /// Since when the client has taken nothing of what waits for it; nothing while nothing waits.
  [[nodiscard]] std::optional<MonotonicTime> waitingSince() const;

 private:
  const FileDescriptor socket_;
  std::string in_;
  std::size_t searched_ = 0;  // of in_, for a newline
  std::string out_;
  std::size_t sent_ = 0;  // of out_
  MonotonicTime lastTaken_{};
};

}  // namespace tandem::control
