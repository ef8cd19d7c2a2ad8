// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/listen_socket.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <system_error>

namespace tandem::server {

namespace {

namespace fs = std::filesystem;

constexpr int kBacklog = 1024;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

bool isLoopback(const sockaddr& address) {
  // The BSD socket interface hands every family around as sockaddr.
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

Result<std::uint16_t> portOf(int fd) {
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return Error{ErrorCode::Internal, fmt::format("getsockname: {}", std::strerror(errno)), ""};
  }
  const in_port_t port = bound.ss_family == AF_INET
                             ? reinterpret_cast<const sockaddr_in&>(bound).sin_port
                             : reinterpret_cast<const sockaddr_in6&>(bound).sin6_port;
  return ntohs(port);
}

Error listenError(int problem, const std::string& host, std::uint16_t port) {
  if (problem == EADDRINUSE) {
    const std::string holder = processListeningOn(port);
    return Error{
        ErrorCode::AlreadyExists,
        fmt::format("port {} of {} is taken{}{}", port, host, holder.empty() ? "" : " by ", holder),
        "Stop that program, or choose another port (--port; 0 takes any free one)."};
  }
  if (problem == EACCES) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("may not listen on port {} of {}", port, host),
                 "Ports below 1024 need privileges; choose a higher one."};
  }
  if (problem == EADDRNOTAVAIL) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} is not an address of this machine", host),
                 "Use 127.0.0.1, 0.0.0.0 or an address that `ip addr` shows."};
  }
  return Error{ErrorCode::Unavailable,
               fmt::format("cannot listen on {} port {}: {}", host, port, std::strerror(problem)),
               ""};
}

/// Inodes of listening sockets on `port`, from one of the kernel's tables.
void addListeningInodes(const char* table, std::uint16_t port, std::set<std::string>& inodes) {
  constexpr std::string_view kListen = "0A";
  std::ifstream stream(table);
  std::string line;
  std::getline(stream, line);  // the heading
  while (std::getline(stream, line)) {
    std::istringstream fields(line);
    std::string slot;
    std::string local;
    std::string remote;
    std::string state;
    std::string skip;
    std::string inode;
    fields >> slot >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> inode;
    if (state == kListen && local.ends_with(fmt::format(":{:04X}", port))) {
      inodes.insert(fmt::format("socket:[{}]", inode));
    }
  }
}

bool holdsOneOf(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code problem;
  for (fs::directory_iterator entry(process / "fd", problem), end; !problem && entry != end;
       entry.increment(problem)) {
    std::error_code unreadable;
    if (inodes.count(fs::read_symlink(entry->path(), unreadable).string()) > 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<ListenSocket> listenOn(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int problem = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); problem != 0) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("the host {} has no address: {}", host, ::gai_strerror(problem)),
                 "Use 127.0.0.1, or an address of this machine."};
  }
  const Addresses addresses(found);
  addrinfo& first = *addresses;
  if (first.ai_family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(first.ai_addr)->sin_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in6*>(first.ai_addr)->sin6_port = htons(port);
  }

  ListenSocket socket;
  socket.ipv6 = first.ai_family == AF_INET6;
  socket.loopback = isLoopback(*first.ai_addr);
  socket.fd = FileDescriptor(::socket(first.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  // Reuse: a restart must not wait for the old connections to time out in the kernel.
  if (!socket.fd.valid() ||
      ::setsockopt(socket.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.fd.get(), first.ai_addr, first.ai_addrlen) != 0 ||
      ::listen(socket.fd.get(), kBacklog) != 0) {
    return listenError(errno, host, port);
  }
  Result<std::uint16_t> bound = portOf(socket.fd.get());
  if (!bound) {
    return bound.error();
  }
  socket.port = *bound;
  return socket;
}

std::string processListeningOn(std::uint16_t port) {
  std::set<std::string> inodes;
  addListeningInodes("/proc/net/tcp", port, inodes);
  addListeningInodes("/proc/net/tcp6", port, inodes);
  if (inodes.empty()) {
    return "";
  }
  std::error_code problem;
  for (fs::directory_iterator entry("/proc", problem), end; !problem && entry != end;
       entry.increment(problem)) {
    const std::string pid = entry->path().filename().string();
    const bool isProcess =
        std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (isProcess && holdsOneOf(entry->path(), inodes)) {
      std::ifstream comm(entry->path() / "comm");
      std::string name;
      std::getline(comm, name);
      return fmt::format("{} (pid {})", name, pid);
    }
  }
  return "";
}

}  // namespace tandem::server
