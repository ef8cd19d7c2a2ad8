// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/sys_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

namespace tandem::probe {

namespace {

constexpr int kRaceRetries = 8;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

/// The kernel's ways to say that there is nothing here, or nothing to say now.
bool meansAbsent(int error) {
  return error == ENOENT || error == ENOTDIR || error == EINVAL || error == ENODEV ||
         error == ENXIO || error == EOPNOTSUPP;
}

Error failure(const std::string& path, int error) {
  if (meansAbsent(error)) {
    return Error{ErrorCode::NotFound, fmt::format("/{} is absent", path), ""};
  }
  const bool denied = error == EACCES || error == EPERM;
  return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::Unavailable,
               fmt::format("/{} cannot be read: {}", path, std::strerror(error)),
               ""};
}

}  // namespace

Result<SysRoot> SysRoot::open(const std::filesystem::path& folder) {
  const char* const remedy = "Give --sysroot a folder that holds a machine's /proc and /sys.";
  FileDescriptor descriptor(::open(folder.c_str(), O_PATH | O_CLOEXEC));
  if (!descriptor.valid()) {
    const bool denied = errno == EACCES;
    return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::NotFound,
                 fmt::format("{} cannot be opened: {}", folder.string(), std::strerror(errno)),
                 remedy};
  }
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} is not a folder", folder.string()),
                 remedy};
  }
  std::error_code ignored;
  const bool isThisMachine = std::filesystem::equivalent(folder, "/", ignored);
  return SysRoot(folder, std::move(descriptor), isThisMachine);
}

FileDescriptor SysRoot::openInside(const std::string& path, int flags) const {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags) | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT;
  long descriptor = -1;
  // EAGAIN: something was renamed while ".." was resolved.
  for (int attempt = 0; attempt < kRaceRetries; ++attempt) {
    descriptor = ::syscall(SYS_openat2, descriptor_.get(), path.c_str(), &how, sizeof how);
    if (descriptor >= 0 || errno != EAGAIN) {
      break;
    }
  }
  // Old kernels and some containers know no openat2; at the real root it promises nothing more.
  if (descriptor < 0 && (errno == ENOSYS || errno == EPERM) && isThisMachine_) {
    descriptor = ::openat(descriptor_.get(), path.c_str(), flags | O_CLOEXEC);
  }
  return FileDescriptor(static_cast<int>(descriptor));
}

Result<std::string> SysRoot::read(const std::string& path) const {
  // Without O_NONBLOCK a pipe in a strange tree would wait for its writer.
  const FileDescriptor file = openInside(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.valid()) {
    return failure(path, errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Error{ErrorCode::DataCorrupt, fmt::format("/{} is not a regular file", path), ""};
  }
  std::string text;
  std::array<char, 1U << 16U> buffer{};
  while (text.size() <= kMaxFileBytes) {
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count == 0) {
      return text;
    }
    if (count > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return failure(path, errno);
    }
  }
  return Error{ErrorCode::OutOfRange,
               fmt::format("/{} is longer than {} bytes", path, kMaxFileBytes),
               ""};
}

Result<std::vector<std::string>> SysRoot::names(const std::string& path) const {
  FileDescriptor descriptor = openInside(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  if (!descriptor.valid()) {
    return failure(path, errno);
  }
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(descriptor.get()));
  if (!folder) {
    return failure(path, errno);
  }
  (void)descriptor.release();  // the DIR owns it now
  std::vector<std::string> names;
  while (names.size() < kMaxEntries) {
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) {
      break;
    }
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> SysRoot::linkName(const std::string& path) const {
  const FileDescriptor link = openInside(path, O_PATH | O_NOFOLLOW);
  if (!link.valid()) {
    return failure(path, errno);
  }
  std::array<char, PATH_MAX> target{};
  const ssize_t count = ::readlinkat(link.get(), "", target.data(), target.size());
  if (count < 0) {
    return failure(path, errno);  // ENOENT: it is there, and no link
  }
  const std::string text(target.data(), static_cast<std::size_t>(count));
  return std::filesystem::path(text).filename().string();
}

bool SysRoot::exists(const std::string& path) const {
  return openInside(path, O_PATH).valid();
}

}  // namespace tandem::probe
