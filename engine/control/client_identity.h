// SPDX-License-Identifier: GPL-3.0-or-later
// Who is at the other end of a Unix socket, as the kernel says, and whether they may be.
#pragma once

#include <sys/types.h>

#include <vector>

#include "engine/base/result.h"

namespace tandem::control {

struct ClientIdentity {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // the supplementary ones
};

/// Of the process that connected, or of the one that listens, as it was then.
/// Fails    PermissionDenied when the kernel does not tell
Result<ClientIdentity> identityOf(int socket);

/// Root, the engine's own user, and members of the socket's group.
[[nodiscard]] bool mayControl(const ClientIdentity& client, uid_t engineUser, gid_t socketGroup);

}  // namespace tandem::control
