// SPDX-License-Identifier: GPL-3.0-or-later
// A listening TCP socket, and who holds the port when there is none to have.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::server {

struct ListenSocket {
  FileDescriptor fd;
  std::uint16_t port = 0;
  bool ipv6 = false;
  bool loopback = false;
};

/// Binds the first address of `host` and listens. Port 0: any free port.
///
/// Fails    AlreadyExists when the port is taken; InvalidArgument when `host` has no address;
///          PermissionDenied for ports below 1024; Unavailable for anything else, in the system's
///          words.
Result<ListenSocket> listenOn(const std::string& host, std::uint16_t port);

/// "python3 (pid 4121)" of the process listening on a TCP port, "" if /proc does not tell: the
/// process of another user stays hidden.
[[nodiscard]] std::string processListeningOn(std::uint16_t port);

}  // namespace tandem::server
