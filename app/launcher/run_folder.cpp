// SPDX-License-Identifier: GPL-3.0-or-later
// Checks owner and mode without following links.
#include "app/launcher/run_folder.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <QDir>
#include <QFile>
#include <QFileInfo>

#include "app/launcher/standard_folders.h"

namespace tandem::app {

namespace {

constexpr mode_t kOwnerOnly = S_IRWXU;
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

Result<void> checkPrivate(const QString& folder) {
  const std::string name = QFile::encodeName(folder).toStdString();
  struct stat facts {};
  if (::lstat(name.c_str(), &facts) != 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    return Error{missing ? ErrorCode::NotFound : ErrorCode::PermissionDenied,
                 fmt::format("the run folder {}: {}", name, std::strerror(errno)),
                 ""};
  }
  if (!S_ISDIR(facts.st_mode)) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the run folder {} is no folder", name),
                 "Remove it."};
  }
  if (facts.st_uid != ::geteuid()) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the run folder {} belongs to user {}, not to user {}",
                             name,
                             facts.st_uid,
                             ::geteuid()),
                 "Have its owner or an administrator remove it."};
  }
  if ((facts.st_mode & kOthers) != 0) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the run folder {} is open to other users (mode {:04o})",
                             name,
                             facts.st_mode & 07777U),
                 fmt::format("Look into it, then run: chmod 700 {}", name)};
  }
  return {};
}

/// One level; what is there already is only checked.
Result<void> makePrivate(const QString& folder) {
  const QByteArray name = QFile::encodeName(folder);
  if (::mkdir(name.constData(), kOwnerOnly) != 0 && errno != EEXIST) {
    const bool denied = errno == EACCES || errno == EPERM || errno == EROFS;
    return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::Unavailable,
                 fmt::format("the run folder {} could not be made: {}",
                             name.toStdString(),
                             std::strerror(errno)),
                 ""};
  }
  return checkPrivate(folder);
}

}  // namespace

RunFolder RunFolder::ofDemo() {
  const QString session = runtimeFolder();
  const QString base = session.isEmpty()
                           ? QDir::temp().filePath(QStringLiteral("tandem-%1").arg(::geteuid()))
                           : session + QStringLiteral("/tandem");
  return RunFolder(base + QStringLiteral("/demo"));
}

Result<void> RunFolder::check() const {
  // The folder above decides who may exchange this one.
  for (const QString& folder : {QFileInfo(path_).path(), path_}) {
    if (const Result<void> fine = checkPrivate(folder); !fine) {
      return fine;
    }
  }
  constexpr qsizetype kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (const qsizetype bytes = QFile::encodeName(socket()).size(); bytes > kLongest) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("the path of the control socket has {} bytes; {} are possible: {}",
                             bytes,
                             kLongest,
                             socket().toStdString()),
                 "Set XDG_RUNTIME_DIR or TMPDIR to a shorter folder."};
  }
  return {};
}

Result<void> RunFolder::make() const {
  for (const QString& folder : {QFileInfo(path_).path(), path_}) {
    if (const Result<void> made = makePrivate(folder); !made) {
      return made;
    }
  }
  return check();
}

Result<FileDescriptor> RunFolder::lock() const {
  const QByteArray name = QFile::encodeName(file(QStringLiteral("lock")));
  FileDescriptor lock(
      ::open(name.constData(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!lock.valid()) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("{} cannot be opened: {}", name.toStdString(), std::strerror(errno)),
                 ""};
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error{ErrorCode::AlreadyExists,
                 fmt::format("another program starts an engine at this moment ({} is locked)",
                             name.toStdString()),
                 ""};
  }
  return lock;
}

}  // namespace tandem::app
