// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kvcache/disk_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

#include "engine/base/byte_size.h"

namespace tandem::kvcache {

namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr const char* kModule = "cache";

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

ErrorCode codeOf(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::PermissionDenied;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return ErrorCode::NotFound;
    default:
      return ErrorCode::Unavailable;
  }
}

const char* remedyOf(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "Make room on that disk, or give the disk cache a smaller limit.";
    case EMFILE:
    case ENFILE:
      return "Raise the limit of open files (ulimit -n).";
    default:
      return "Choose another folder for the disk cache.";
  }
}

/// Fails with errno's number.
std::optional<int> writeAll(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      return count == 0 ? ENOSPC : errno;
    }
  }
  return std::nullopt;
}

/// The number of bytes read, fewer at the end of the file; or -1 with errno.
ssize_t readAll(int file, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t count = ::read(file, into.data() + done, into.size() - done);
    if (count == 0) {
      break;
    }
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return static_cast<ssize_t>(done);
}

/// A file may have any time, also one whose nanoseconds have no number.
std::int64_t nanosecondsOf(const timespec& time) {
  constexpr std::int64_t kLastSecond = std::int64_t{1} << 32;  // in the year 2106
  return std::clamp<std::int64_t>(time.tv_sec, 0, kLastSecond) * kNanoseconds + time.tv_nsec;
}

std::array<timespec, 2> bothTimes(std::int64_t stamp) {
  timespec time{};
  time.tv_sec = static_cast<std::time_t>(stamp / kNanoseconds);
  time.tv_nsec = static_cast<long>(stamp % kNanoseconds);
  return {time, time};
}

/// The page cache would only take memory that the weights and the KV cache in memory want.
void leavePageCache(int file) {
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace

/// What the look at a folder found.
struct DiskStore::Scan {
  struct Found {
    RecordId id;
    std::uint64_t fileBytes = 0;
    std::int64_t stamp = 0;
  };
  /// Files that are not records, all for similar reasons.
  struct Refused {
    std::uint64_t files = 0;
    std::string first;  // its name and the reason

    void add(const std::string& name, const std::string& reason) {
      if (files++ == 0) {
        first = fmt::format("{}: {}", name, reason);
      }
    }
  };

  std::vector<Found> found;
  std::uint64_t parts = 0;
  Refused damaged;
  Refused foreign;
  Refused unreadable;  // left where they are
};

Result<DiskStore> DiskStore::open(const std::filesystem::path& folder,
                                  std::uint64_t limitBytes,
                                  const StoreIdentity& identity,
                                  Logger& logger) {
  const auto cannot = [&](const char* what, int error) {
    return Error{codeOf(error),
                 fmt::format("the cache folder {} cannot be {}: {}",
                             folder.string(),
                             what,
                             std::strerror(error)),
                 remedyOf(error)};
  };
  if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return cannot("made", errno);
  }
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!descriptor.valid() || ::fstat(descriptor.get(), &info) != 0) {
    return cannot("opened", errno);
  }
  // Whoever may write here could have the engine continue from entries of their making.
  if (info.st_uid != ::geteuid()) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the cache folder {} belongs to user {}; this engine runs as user {}",
                             folder.string(),
                             info.st_uid,
                             ::geteuid()),
                 "Choose another folder for the disk cache, or change its owner."};
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("others may write to the cache folder {} (its mode is {:04o})",
                             folder.string(),
                             info.st_mode & 07777U),
                 fmt::format("Close it: chmod 700 {}", folder.string())};
  }
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error{ErrorCode::AlreadyExists,
                   fmt::format("the cache folder {} is in use by another engine", folder.string()),
                   "Stop that engine, or choose another folder for the disk cache."};
    }
    return cannot("locked", errno);
  }
  DiskStore store(folder, std::move(descriptor), limitBytes, identity, logger);
  if (const Result<void> scanned = store.scan(); !scanned) {
    return scanned.error();
  }
  return store;
}

Result<void> DiskStore::scan() {
  // A descriptor of its own: closedir() closes it.
  const int descriptor = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseFolder> folder(descriptor < 0 ? nullptr
                                                                : ::fdopendir(descriptor));
  if (!folder) {
    const int error = errno;
    if (descriptor >= 0) {
      ::close(descriptor);
    }
    return failed("list it", error);
  }
  // First all names, then the deletions: what readdir() gives while files go is not defined.
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) {
    return failed("list it", errno);
  }
  Scan scan;
  for (const std::string& name : names) {
    if (isPartName(name)) {
      if (::unlinkat(folder_.get(), name.c_str(), 0) == 0) {
        ++scan.parts;
      } else {
        scan.unreadable.add(name, std::strerror(errno));
      }
    } else if (const std::optional<RecordId> id = recordOfName(name)) {
      inspect(name, *id, scan);
    }
  }
  std::sort(scan.found.begin(), scan.found.end(), [](const Scan::Found& a, const Scan::Found& b) {
    return a.stamp < b.stamp;
  });
  for (const Scan::Found& found : scan.found) {
    add(found.id, found.fileBytes);
    lastStamp_ = found.stamp;
  }
  damaged_ = scan.damaged.files;
  if (scan.parts > 0) {
    logger_->warning(kModule,
                     "the cache folder {} had {} unfinished records of an engine that was ended; "
                     "they are deleted",
                     path_.string(),
                     scan.parts);
  }
  const auto warn = [this](const Scan::Refused& refused, const char* what) {
    if (refused.files > 0) {
      logger_->warning(kModule,
                       "the cache folder {} had {} {}; the first was {}",
                       path_.string(),
                       refused.files,
                       what,
                       refused.first);
    }
  };
  warn(scan.damaged, "damaged records, they are deleted");
  warn(scan.foreign, "records that this engine has no use for, they are deleted");
  warn(scan.unreadable, "records that could not be read or deleted, they are left alone");
  if (const Result<void> room = makeRoom(0); !room) {
    return room;
  }
  if (evicted_ > 0) {
    logger_->info(kModule,
                  "the cache folder {} had more than its limit of {}: the {} oldest records are "
                  "deleted",
                  path_.string(),
                  formatBytes(limitBytes_),
                  evicted_);
  }
  return {};
}

void DiskStore::inspect(const std::string& name, const RecordId& id, Scan& scan) const {
  struct stat info {};
  if (::fstatat(folder_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    scan.unreadable.add(name, std::strerror(errno));
    return;
  }
  if (!S_ISREG(info.st_mode)) {
    scan.unreadable.add(name, "it is not a file");
    return;
  }
  const FileDescriptor file(
      ::openat(folder_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  RecordHeader header{};
  const ssize_t count = file.valid() ? readAll(file.get(), header) : -1;
  if (count < 0) {
    // Perhaps only now: no reason to delete it.
    scan.unreadable.add(name, std::strerror(errno));
    return;
  }
  const auto fileBytes = static_cast<std::uint64_t>(info.st_size);
  CheckedHeader checked =
      static_cast<std::size_t>(count) < header.size()
          ? CheckedHeader{HeaderVerdict::Damaged, fmt::format("it has {} bytes", fileBytes)}
          : checkHeader(header, identity_, id, fileBytes);
  if (checked.verdict == HeaderVerdict::Ours) {
    scan.found.push_back({id, fileBytes, nanosecondsOf(info.st_mtim)});
    return;
  }
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0) {
    scan.unreadable.add(name, fmt::format("{}, and {}", checked.reason, std::strerror(errno)));
  } else if (checked.verdict == HeaderVerdict::Foreign) {
    scan.foreign.add(name, checked.reason);
  } else {
    scan.damaged.add(name, checked.reason);
  }
}

bool DiskStore::contains(RecordKind kind, const CacheKey& key) const {
  return index_.contains(RecordId{kind, key});
}

std::optional<std::uint64_t> DiskStore::payloadBytes(RecordKind kind, const CacheKey& key) const {
  const auto entry = index_.find(RecordId{kind, key});
  if (entry == index_.end()) {
    return std::nullopt;
  }
  return entry->second.fileBytes - kRecordExtraBytes;
}

Result<void> DiskStore::read(RecordKind kind, const CacheKey& key, std::span<std::byte> into) {
  const RecordId id{kind, key};
  const std::string name = recordName(id);
  const auto entry = index_.find(id);
  if (entry == index_.end()) {
    return Error{ErrorCode::NotFound,
                 fmt::format("{} is not in the cache folder {}", name, path_.string()),
                 ""};
  }
  const std::uint64_t fileBytes = entry->second.fileBytes;
  if (fileBytes - kRecordExtraBytes != into.size()) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} has a payload of {} bytes; {} were asked for",
                             name,
                             fileBytes - kRecordExtraBytes,
                             into.size()),
                 ""};
  }
  const FileDescriptor file(
      ::openat(folder_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!file.valid() || ::fstat(file.get(), &info) != 0) {
    const int error = errno;
    if (error == ENOENT) {
      forget(entry);
      return Error{ErrorCode::NotFound,
                   fmt::format("{} is gone from the cache folder {}: somebody deleted it",
                               name,
                               path_.string()),
                   ""};
    }
    return error == ELOOP ? damaged(entry, "it is a link") : failed("open " + name, error);
  }
  if (!S_ISREG(info.st_mode)) {
    return damaged(entry, "it is not a file");
  }
  RecordHeader header{};
  std::array<std::byte, kRecordChecksumBytes> stored{};
  std::size_t expected = 0;
  std::size_t got = 0;
  for (const std::span<std::byte> part :
       {std::span<std::byte>(header), into, std::span<std::byte>(stored)}) {
    const ssize_t count = readAll(file.get(), part);
    if (count < 0) {
      // A sector that cannot be read stays so.
      return errno == EIO ? damaged(entry, std::strerror(errno)) : failed("read " + name, errno);
    }
    expected += part.size();
    got += static_cast<std::size_t>(count);
  }
  if (got != expected || static_cast<std::uint64_t>(info.st_size) != fileBytes) {
    return damaged(entry, fmt::format("it has {} bytes instead of {}", info.st_size, fileBytes));
  }
  if (const CheckedHeader checked = checkHeader(header, identity_, id, fileBytes);
      checked.verdict != HeaderVerdict::Ours) {
    return damaged(entry, checked.reason);
  }
  RecordChecksum checksum;
  checksum.add(header);
  checksum.add(into);
  if (checksum.bytes() != stored) {
    return damaged(entry, "its checksum is wrong");
  }
  leavePageCache(file.get());
  // On a disk that became read-only the order is kept for this process only.
  ::futimens(file.get(), bothTimes(nextStamp()).data());
  uses_.splice(uses_.end(), uses_, entry->second.use);
  return {};
}

Result<void> DiskStore::write(RecordKind kind,
                              const CacheKey& key,
                              std::span<const std::byte> payload) {
  const RecordId id{kind, key};
  if (const auto entry = index_.find(id); entry != index_.end()) {
    const std::string name = recordName(id);
    if (::utimensat(folder_.get(),
                    name.c_str(),
                    bothTimes(nextStamp()).data(),
                    AT_SYMLINK_NOFOLLOW) == 0 ||
        errno != ENOENT) {
      uses_.splice(uses_.end(), uses_, entry->second.use);
      return {};
    }
    forget(entry);
  }
  const std::uint64_t fileBytes = kRecordExtraBytes + payload.size();
  if (fileBytes > limitBytes_) {
    return Error{ErrorCode::OutOfRange,
                 fmt::format("a cache record of {} does not fit the disk cache, which is limited "
                             "to {}",
                             formatBytes(fileBytes),
                             formatBytes(limitBytes_)),
                 "Give the disk cache a larger limit."};
  }
  if (const Result<void> room = makeRoom(fileBytes); !room) {
    return room;
  }
  if (const Result<void> written = writeFile(id, payload); !written) {
    return written;
  }
  add(id, fileBytes);
  return {};
}

Result<void> DiskStore::writeFile(const RecordId& id, std::span<const std::byte> payload) {
  const std::string part = partName(id);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  FileDescriptor file(::openat(folder_.get(), part.c_str(), flags, kFileMode));
  if (!file.valid() && errno == EEXIST && ::unlinkat(folder_.get(), part.c_str(), 0) == 0) {
    file = FileDescriptor(::openat(folder_.get(), part.c_str(), flags, kFileMode));
  }
  if (!file.valid()) {
    return failed("make " + part, errno);
  }
  const RecordHeader header = encodeHeader(identity_, id, payload.size());
  RecordChecksum checksum;
  checksum.add(header);
  checksum.add(payload);
  const std::array<std::byte, kRecordChecksumBytes> sum = checksum.bytes();
  std::optional<int> error;
  for (const std::span<const std::byte> bytes :
       {std::span<const std::byte>(header), payload, std::span<const std::byte>(sum)}) {
    if (!error) {
      error = writeAll(file.get(), bytes);
    }
  }
  const auto check = [&error](int outcome) {
    if (!error && outcome != 0) {
      error = errno;
    }
  };
  if (!error) {
    // Where times cannot be set only the order after the next start suffers.
    ::futimens(file.get(), bothTimes(nextStamp()).data());
    check(::fsync(file.get()));
    leavePageCache(file.get());
  }
  if (!error) {
    check(::renameat(folder_.get(), part.c_str(), folder_.get(), recordName(id).c_str()));
  }
  if (error) {
    ::unlinkat(folder_.get(), part.c_str(), 0);
    return failed("write " + recordName(id), *error);
  }
  return {};
}

Result<void> DiskStore::remove(RecordKind kind, const CacheKey& key) {
  const auto entry = index_.find(RecordId{kind, key});
  if (entry == index_.end()) {
    return {};
  }
  const std::string name = recordName(entry->first);
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    return failed("delete " + name, errno);
  }
  forget(entry);
  return {};
}

Result<void> DiskStore::makeRoom(std::uint64_t bytes) {
  while (!uses_.empty() && bytes_ > limitBytes_ - bytes) {
    const RecordId oldest = uses_.front();
    if (const Result<void> removed = remove(oldest.kind, oldest.key); !removed) {
      return removed;
    }
    ++evicted_;
  }
  return {};
}

DiskUsage DiskStore::usage() const {
  return {index_.size(), bytes_, limitBytes_, evicted_, damaged_};
}

std::vector<RecordId> DiskStore::records() const {
  return {uses_.begin(), uses_.end()};
}

void DiskStore::add(const RecordId& id, std::uint64_t fileBytes) {
  uses_.push_back(id);
  index_[id] = Entry{fileBytes, std::prev(uses_.end())};
  bytes_ += fileBytes;
}

void DiskStore::forget(Index::iterator entry) {
  const RecordId id = entry->first;
  bytes_ -= entry->second.fileBytes;
  uses_.erase(entry->second.use);
  index_.erase(entry);
  if (onLost_) {
    onLost_(id);
  }
}

Error DiskStore::damaged(Index::iterator entry, const std::string& reason) {
  const std::string name = recordName(entry->first);
  ++damaged_;
  forget(entry);
  const bool deleted = ::unlinkat(folder_.get(), name.c_str(), 0) == 0;
  Error error{ErrorCode::DataCorrupt,
              fmt::format("the cache record {} in {} was damaged ({}) and is {}",
                          name,
                          path_.string(),
                          reason,
                          deleted ? "deleted" : "ignored"),
              "If this happens again, check that disk."};
  logger_->warning(kModule, "{}", error.text());
  return error;
}

Error DiskStore::failed(const std::string& what, int error) const {
  struct stat info {};
  if (error == ENOENT && ::fstat(folder_.get(), &info) == 0 && info.st_nlink == 0) {
    return Error{
        ErrorCode::NotFound,
        fmt::format("the cache folder {} was removed while the engine used it", path_.string()),
        "Restart the engine: it makes the folder anew."};
  }
  return Error{
      codeOf(error),
      fmt::format("the cache folder {}: cannot {}: {}", path_.string(), what, std::strerror(error)),
      remedyOf(error)};
}

/// Later than every use so far, also when the clock was set back.
std::int64_t DiskStore::nextStamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  lastStamp_ = std::max(nanosecondsOf(now), lastStamp_ + 1);
  return lastStamp_;
}

}  // namespace tandem::kvcache
