// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/tcp.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/base/port_holder.h"

namespace tandem::comm {

namespace {

// A refused connection is tried again after this long; a start takes seconds.
constexpr std::chrono::milliseconds kConnectRetry{100};

struct AddressListFree {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListFree>;

Result<AddressList> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed != 0) {
    return Error{ErrorCode::NotFound,
                 fmt::format("\"{}\" is not an address: {}", host, ::gai_strerror(failed)),
                 "Give the peer's IP address on the cable."};
  }
  return AddressList(list);
}

bool isWildcard(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return v4.sin_addr.s_addr == htonl(INADDR_ANY);
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof v6);
  return std::memcmp(&v6.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
}

std::string formatAddress(const sockaddr_storage& address, socklen_t length) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address),
                    length,
                    host.data(),
                    host.size(),
                    port.data(),
                    port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "an unknown address";
  }
  return fmt::format("{}:{}", host.data(), port.data());
}

void setNoDelay(int socket) {
  // Steps are a few kilobytes each way: Nagle's algorithm would hold every second one back.
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Error socketError(const std::string& what, int number) {
  return Error{ErrorCode::Unavailable, fmt::format("{}: {}", what, std::strerror(number)), ""};
}

/// One attempt. `refused` is set when waiting and trying again may help.
Result<FileDescriptor> tryConnect(const addrinfo& address, const WaitLimit& limit, bool& refused) {
  refused = false;
  FileDescriptor socket(
      ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!socket.valid()) {
    return socketError("could not make a socket", errno);
  }
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS) {
    refused = errno == ECONNREFUSED;
    return socketError("connect", errno);
  }
  if (const Result<void> done = waitFor(socket.get(), POLLOUT, limit); !done) {
    return done.error();
  }
  int number = 0;
  socklen_t length = sizeof number;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &number, &length);
  if (number != 0) {
    refused = number == ECONNREFUSED || number == EHOSTUNREACH || number == ENETUNREACH;
    return socketError("connect", number);
  }
  setNoDelay(socket.get());
  return socket;
}

}  // namespace

Result<void> waitFor(int fd, short events, const WaitLimit& limit) {
  while (true) {
    // poll() ignores entries with a negative descriptor.
    std::array<pollfd, 2> entries{pollfd{fd, events, 0}, pollfd{limit.cancelFd, POLLIN, 0}};
    const int ready = ::poll(entries.data(), entries.size(), pollTimeout(limit.deadline));
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready < 0) {
      return socketError("poll", errno);
    }
    if (entries[1].revents != 0) {
      return Error{ErrorCode::Cancelled, "stopped while waiting for the other rank", ""};
    }
    if (entries[0].revents != 0) {
      return {};
    }
    if (ready == 0) {
      return Error{ErrorCode::Timeout, "the other rank did not answer in time", ""};
    }
  }
}

Result<FileDescriptor> listenTcp(const std::string& host, std::uint16_t port) {
  const Error everywhere{
      ErrorCode::InvalidArgument,
      fmt::format("the peer channel must not listen on every interface (\"{}\")", host),
      "Give this node's address on the cable, or 127.0.0.1 for ranks on one host."};
  if (host.empty()) {
    return everywhere;
  }
  Result<AddressList> addresses = resolve(host, port, AI_PASSIVE);
  if (!addresses) {
    return addresses.error();
  }
  const addrinfo& address = **addresses;
  if (isWildcard(address.ai_addr)) {
    return everywhere;
  }
  FileDescriptor socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) {
    return socketError("could not make a socket", errno);
  }
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  constexpr int kBacklog = 16;
  if (::bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    const int number = errno;
    if (number == EADDRINUSE) {
      return Error{
          ErrorCode::AlreadyExists,
          fmt::format("port {} on {} is taken by {}", port, host, describePortHolder(port)),
          "Stop it, or choose another peer port."};
    }
    if (number == EADDRNOTAVAIL) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("this host has no address {}", host),
                   "Check that the cable's interface is up and has this address."};
    }
    return socketError(fmt::format("could not listen on {}:{}", host, port), number);
  }
  return socket;
}

std::uint16_t localPort(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return 0;
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return ntohs(v6.sin6_port);
  }
  sockaddr_in v4{};
  std::memcpy(&v4, &address, sizeof v4);
  return ntohs(v4.sin_port);
}

std::string remoteAddress(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return "a closed connection";
  }
  return formatAddress(address, length);
}

Result<Accepted> acceptTcp(int listener, const WaitLimit& limit) {
  while (true) {
    if (const Result<void> ready = waitFor(listener, POLLIN, limit); !ready) {
      return ready.error();
    }
    FileDescriptor socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.valid()) {
      setNoDelay(socket.get());
      std::string from = remoteAddress(socket.get());
      return Accepted{std::move(socket), std::move(from)};
    }
    // A client that left between poll and accept is none of our business.
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
      return socketError("could not accept a connection", errno);
    }
  }
}

Result<FileDescriptor> connectTcp(const std::string& host,
                                  std::uint16_t port,
                                  const WaitLimit& limit) {
  Result<AddressList> addresses = resolve(host, port, 0);
  if (!addresses) {
    return addresses.error();
  }
  while (true) {
    bool refused = false;
    Result<FileDescriptor> socket = tryConnect(**addresses, limit, refused);
    if (socket || socket.error().code == ErrorCode::Cancelled) {
      return socket;
    }
    const MonotonicTime retry = std::chrono::steady_clock::now() + kConnectRetry;
    if (!refused || retry >= limit.deadline) {
      return Error{
          ErrorCode::Unavailable,
          fmt::format("rank 0 does not answer on {}:{} ({})", host, port, socket.error().message),
          "Start rank 0, and check the address and the cable."};
    }
    const Result<void> waited = waitFor(-1, 0, WaitLimit{retry, limit.cancelFd});
    if (!waited && waited.error().code == ErrorCode::Cancelled) {
      return waited.error();
    }
  }
}

Result<void> readExactly(int socket, std::span<std::byte> data, const WaitLimit& limit) {
  while (!data.empty()) {
    const ssize_t count = ::recv(socket, data.data(), data.size(), MSG_DONTWAIT);
    if (count > 0) {
      data = data.subspan(static_cast<std::size_t>(count));
    } else if (count == 0) {
      return Error{ErrorCode::Unavailable, "the other end closed the connection", ""};
    } else if (errno == EAGAIN) {
      if (const Result<void> ready = waitFor(socket, POLLIN, limit); !ready) {
        return ready;
      }
    } else if (errno != EINTR) {
      return socketError("read", errno);
    }
  }
  return {};
}

Result<void> writeAll(int socket, std::span<const std::byte> data, const WaitLimit& limit) {
  while (!data.empty()) {
    const ssize_t count = ::send(socket, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      data = data.subspan(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      if (const Result<void> ready = waitFor(socket, POLLOUT, limit); !ready) {
        return ready;
      }
    } else if (errno != EINTR) {
      return socketError("write", errno);
    }
  }
  return {};
}

}  // namespace tandem::comm
