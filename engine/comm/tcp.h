// SPDX-License-Identifier: GPL-3.0-or-later
// Plain TCP with deadlines: listen, accept, connect, and reads and writes of an exact length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::comm {

/// How long to wait and what ends the wait early.
struct WaitLimit {
  MonotonicTime deadline;
  int cancelFd = -1;  // a descriptor that polls readable when the caller wants out; -1: none
};

/// Blocks until `fd` polls one of `events`, or has an error or hang-up to report.
/// Fails    Timeout, or Cancelled when the limit's descriptor became readable.
Result<void> waitFor(int fd, short events, const WaitLimit& limit);

/// A listening socket on one address of this host, never on all of them.
/// Fails    InvalidArgument for a wildcard or an address this host does not have; AlreadyExists
///          when the port is taken, with the process that has it.
Result<FileDescriptor> listenTcp(const std::string& host, std::uint16_t port);

/// The port a socket is bound to.
[[nodiscard]] std::uint16_t localPort(int socket);

/// "10.0.0.2:41234" of the other end.
[[nodiscard]] std::string remoteAddress(int socket);

struct Accepted {
  FileDescriptor socket;  // non-blocking, TCP_NODELAY
  std::string from;
};

/// Fails    Timeout, Cancelled.
Result<Accepted> acceptTcp(int listener, const WaitLimit& limit);

/// A non-blocking socket with TCP_NODELAY. A refused connection is tried again until the deadline:
/// the other side may still be starting.
/// Fails    NotFound when the name has no address; Unavailable when nobody listened in time;
///          Cancelled.
Result<FileDescriptor> connectTcp(const std::string& host,
                                  std::uint16_t port,
                                  const WaitLimit& limit);

/// Fails    Unavailable when the other end closed; Timeout; Cancelled.
Result<void> readExactly(int socket, std::span<std::byte> data, const WaitLimit& limit);
Result<void> writeAll(int socket, std::span<const std::byte> data, const WaitLimit& limit);

}  // namespace tandem::comm
