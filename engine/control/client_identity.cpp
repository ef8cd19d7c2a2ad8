// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/client_identity.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tandem::control {

namespace {

constexpr std::size_t kMostGroups = 65536;  // NGROUPS_MAX

}  // namespace

Result<ClientIdentity> identityOf(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the kernel does not say who connected: {}", std::strerror(errno)),
                 ""};
  }
  ClientIdentity identity{credentials.pid, credentials.uid, credentials.gid, {}};
  std::vector<gid_t> groups(kMostGroups);
  size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  // Without an answer the primary group alone counts.
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
    groups.resize(size / sizeof(gid_t));
    identity.groups = groups;
  }
  return identity;
}

bool mayControl(const ClientIdentity& client, uid_t engineUser, gid_t socketGroup) {
  return client.uid == 0 || client.uid == engineUser || client.gid == socketGroup ||
         std::find(client.groups.begin(), client.groups.end(), socketGroup) != client.groups.end();
}

}  // namespace tandem::control
