// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/log_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tandem::control {

namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

ErrorCode codeOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      return ErrorCode::PermissionDenied;
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
      return ErrorCode::NotFound;
    default:
      return ErrorCode::Unavailable;
  }
}

}  // namespace

Error LogFile::failed(const char* what) const {
  return Error{
      codeOf(errno),
      fmt::format("the log file {} cannot be {}: {}", path_.string(), what, std::strerror(errno)),
      errno == ENOSPC || errno == EDQUOT ? "Make room on that disk."
                                         : "Choose another folder with --log-folder."};
}

Result<void> LogFile::open() {
  if (file_.valid()) {
    return {};
  }
  if (::mkdir(path_.parent_path().c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return failed("made");
  }
  FileDescriptor file(
      ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  struct stat info {};
  if (!file.valid() || ::fstat(file.get(), &info) != 0) {
    return failed("opened");
  }
  bytes_ = static_cast<std::uint64_t>(info.st_size);
  char last = '\n';
  // What a killed process left may end within a line.
  midLine_ = bytes_ > 0 && ::pread(file.get(), &last, 1, info.st_size - 1) == 1 && last != '\n';
  file_ = std::move(file);
  return {};
}

Result<void> LogFile::append(std::string_view lines) {
  if (const Result<void> opened = open(); !opened) {
    return opened;
  }
  if (bytes_ > 0 && bytes_ + lines.size() > maxBytes_) {
    if (const Result<void> rotated = rotate(); !rotated) {
      return rotated;
    }
  }
  if (midLine_) {
    if (const Result<void> ended = writeAll("\n"); !ended) {
      return ended;
    }
    midLine_ = false;
  }
  return writeAll(lines);
}

Result<void> LogFile::rotate() {
  const std::filesystem::path older = path_.string() + ".1";
  if (::rename(path_.c_str(), older.c_str()) != 0 && errno != ENOENT) {
    return failed("renamed");
  }
  file_.reset();
  return open();
}

Result<void> LogFile::writeAll(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = ::write(file_.get(), bytes.data() + written, bytes.size() - written);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      const Error error = failed("written");
      // A part of a line would read like a broken file.
      midLine_ =
          midLine_ || (written > 0 && ::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0);
      return error;
    }
  }
  bytes_ += written;
  return {};
}

}  // namespace tandem::control
