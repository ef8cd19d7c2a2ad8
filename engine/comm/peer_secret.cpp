// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/comm/peer_secret.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>  // NOLINT(modernize-deprecated-headers): <cstring> promises no explicit_bzero
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/file_descriptor.h"

namespace tandem::comm {

namespace {

constexpr const char* kPairAgain = "Pair the nodes again, or make a new secret file.";

}  // namespace

PeerSecret::PeerSecret(std::span<const std::byte, kBytes> bytes) {
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

PeerSecret::~PeerSecret() {
  ::explicit_bzero(bytes_.data(), bytes_.size());
}

Result<PeerSecret> PeerSecret::load(const std::filesystem::path& file) {
  const FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    const ErrorCode code = errno == EACCES ? ErrorCode::PermissionDenied : ErrorCode::NotFound;
    return Error{
        code,
        fmt::format("could not open the peer secret {}: {}", file.string(), std::strerror(errno)),
        kPairAgain};
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Error{ErrorCode::DataCorrupt,
                 fmt::format("the peer secret {} is not a file", file.string()),
                 kPairAgain};
  }
  constexpr unsigned kForeignBits = S_IRWXG | S_IRWXO;
  if ((status.st_mode & kForeignBits) != 0) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the peer secret {} has mode {:04o}; others may use it",
                             file.string(),
                             status.st_mode & 07777U),
                 fmt::format("Pair the nodes again if somebody may have read it, else run: "
                             "chmod 600 {}",
                             file.string())};
  }
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the peer secret {} belongs to user {}, not to this process's user {}",
                             file.string(),
                             status.st_uid,
                             ::geteuid()),
                 kPairAgain};
  }
  // One byte more than wanted, so that a longer file is seen.
  std::array<std::byte, kBytes + 1> content{};
  const ssize_t count = ::read(fd.get(), content.data(), content.size());
  if (count != static_cast<ssize_t>(kBytes) || status.st_size != static_cast<off_t>(kBytes)) {
    return Error{ErrorCode::DataCorrupt,
                 fmt::format("the peer secret {} holds {} bytes, expected {}",
                             file.string(),
                             status.st_size,
                             kBytes),
                 kPairAgain};
  }
  PeerSecret secret(std::span<const std::byte>(content).first<kBytes>());
  ::explicit_bzero(content.data(), content.size());
  return secret;
}

Result<void> PeerSecret::createFile(const std::filesystem::path& file) {
  std::array<std::byte, kBytes> bytes{};
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (count < 0 && errno != EINTR) {
      return Error{ErrorCode::Unavailable,
                   fmt::format("no random bytes for a peer secret: {}", std::strerror(errno)),
                   ""};
    }
    filled += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  const FileDescriptor fd(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written =
      fd.valid() && ::write(fd.get(), bytes.data(), bytes.size()) == ssize_t{kBytes};
  const int number = errno;
  ::explicit_bzero(bytes.data(), bytes.size());
  if (!written) {
    const ErrorCode code = number == EEXIST ? ErrorCode::AlreadyExists : ErrorCode::Unavailable;
    return Error{
        code,
        fmt::format("could not write the peer secret {}: {}", file.string(), std::strerror(number)),
        ""};
  }
  return {};
}

}  // namespace tandem::comm
