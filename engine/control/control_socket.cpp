// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/control_socket.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "engine/control/client_identity.h"

namespace tandem::control {

namespace {

constexpr int kBacklog = 16;
constexpr mode_t kMode = 0660;
constexpr const char* kUnreadyName = ".new";
constexpr int kLockTries = 100;
constexpr int kLockPauseMs = 20;

Error systemError(const std::string& what) {
  const bool denied = errno == EACCES || errno == EPERM || errno == EROFS;
  return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::Unavailable,
               fmt::format("{}: {}", what, std::strerror(errno)),
               ""};
}

Result<sockaddr_un> addressOf(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof address.sun_path) {
    return Error{
        ErrorCode::OutOfRange,
        fmt::format("the control socket's path has {} bytes; the system allows 1 to {}: {}",
                    text.size(),
                    sizeof address.sun_path - 1,
                    text),
        "Choose a folder with a shorter name."};
  }
  text.copy(address.sun_path, text.size());
  return address;
}

FileDescriptor newSocket() {
  return FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

const sockaddr* plain(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);  // the sockets API is made this way
}

/// Keeps two engines from judging and replacing one file at the same time. The folder itself is
/// locked, so that nothing stays behind; flock() knows no deadline, hence the tries.
Result<FileDescriptor> lockFolder(const std::filesystem::path& folder) {
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Error{ErrorCode::NotFound,
                   fmt::format("there is no folder {} for the control socket", folder.string()),
                   "Make it, or choose another path with --control."};
    }
    return systemError(
        fmt::format("the control socket's folder {} cannot be opened", folder.string()));
  }
  for (int tries = 0; ::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (errno != EWOULDBLOCK || tries == kLockTries) {
      return systemError(fmt::format("the control socket's folder {} is locked by another process",
                                     folder.string()));
    }
    ::poll(nullptr, 0, kLockPauseMs);
  }
  return descriptor;
}

/// Removes what a killed engine left there.
Result<void> clearPath(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Result<void>() : Result<void>(systemError(path.string()));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Error{ErrorCode::AlreadyExists,
                 fmt::format("{} is there already and is no socket", path.string()),
                 "Remove it, or choose another path with --control."};
  }
  const FileDescriptor probe = newSocket();
  if (!probe.valid()) {
    return systemError("could not make a socket");
  }
  if (::connect(probe.get(), plain(address), sizeof address) != 0 && errno != EAGAIN) {
    if (errno == ECONNREFUSED && ::unlink(path.c_str()) == 0) {
      return {};
    }
    return systemError(fmt::format("{} is there already and cannot be replaced", path.string()));
  }
  const Result<ClientIdentity> owner = identityOf(probe.get());
  return Error{ErrorCode::AlreadyExists,
               fmt::format("an engine{} listens on {} already",
                           owner && owner->pid > 0 ? fmt::format(" with pid {}", owner->pid) : "",
                           path.string()),
               "Stop it, or choose another path with --control."};
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(const std::filesystem::path& path) {
  const Result<sockaddr_un> address = addressOf(path);
  if (!address) {
    return address.error();
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Result<FileDescriptor> lock = lockFolder(folder);
  if (!lock) {
    return lock.error();
  }
  if (const Result<void> cleared = clearPath(path, *address); !cleared) {
    return cleared.error();
  }
  // It gets its name when it listens: who sees the file can connect, and finds the right mode. The
  // lock makes the first name ours, and what has it a leftover.
  const std::filesystem::path unready = folder / kUnreadyName;
  const Result<sockaddr_un> first = addressOf(unready);
  if (!first) {
    return first.error();
  }
  ::unlink(unready.c_str());
  FileDescriptor socket = newSocket();
  if (!socket.valid() || ::bind(socket.get(), plain(*first), sizeof *first) != 0) {
    return systemError(fmt::format("the control socket {} cannot be made", path.string()));
  }
  struct stat info {};
  if (::lstat(unready.c_str(), &info) != 0 || ::chmod(unready.c_str(), kMode) != 0 ||
      ::listen(socket.get(), kBacklog) != 0 || ::rename(unready.c_str(), path.c_str()) != 0) {
    const Error error =
        systemError(fmt::format("the control socket {} cannot be opened", path.string()));
    ::unlink(unready.c_str());
    return error;
  }
  std::unique_ptr<ControlSocket> made(new ControlSocket(path, std::move(socket)));
  made->group_ = info.st_gid;
  made->device_ = info.st_dev;
  made->inode_ = info.st_ino;
  return made;
}

ControlSocket::~ControlSocket() {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

}  // namespace tandem::control
