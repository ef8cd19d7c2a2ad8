// SPDX-License-Identifier: GPL-3.0-or-later
// The disk tier of the prefix cache: a folder of records, of limited size, that survives restarts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/file_descriptor.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/kvcache/disk_record.h"

namespace tandem::kvcache {

struct DiskUsage {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;  // of the files, headers included
  std::uint64_t limitBytes = 0;
  std::uint64_t evicted = 0;  // since it was opened, for room
  std::uint64_t damaged = 0;  // since it was opened, deleted because they were broken
};

/// Owns a folder (mode 0700, files 0600) and the lock on it: one store a folder, also between
/// processes. A record is written under another name, synced and renamed, so it is whole or not
/// there; a loss of power may cost the newest ones. It is verified when it is read. What was used
/// longest ago goes first; a use is kept as the file's modification time. Files whose names are not
/// ours are never touched.
///
/// Thread   one, which waits for the disk: see DiskStoreThread
class DiskStore {
 public:
  /// Makes `folder` if it is not there; its parent must be. Reads every record's header, and
  /// deletes what a crash left half written, what is damaged, what is of another model or setting,
  /// and the oldest beyond the limit, with one line in the log for each of these. `logger` must
  /// outlive it.
  ///
  /// Fails    PermissionDenied when the folder belongs to someone else or others may write to it,
  ///          or this process may not; AlreadyExists when another store has it; NotFound when it
  ///          cannot be there; Unavailable when it cannot be read or locked
  static Result<DiskStore> open(const std::filesystem::path& folder,
                                std::uint64_t limitBytes,
                                const StoreIdentity& identity,
                                Logger& logger);

  [[nodiscard]] bool contains(RecordKind kind, const CacheKey& key) const;

  /// The length of the payload; nothing for a record that is not there.
  [[nodiscard]] std::optional<std::uint64_t> payloadBytes(RecordKind kind,
                                                          const CacheKey& key) const;

  /// Fills `into`, which must have the payload's length, and makes the record the last one used.
  /// After a failure `into` may hold anything.
  ///
  /// Fails    NotFound; DataCorrupt when the record was damaged, which deletes it;
  ///          InvalidArgument for another length; Unavailable, PermissionDenied from the system
  Result<void> read(RecordKind kind, const CacheKey& key, std::span<std::byte> into);

  /// Keeps `payload`, after making room for it. A record that is there already is only made the
  /// last one used: equal keys have equal payloads.
  ///
  /// Fails    OutOfRange when it is larger than the whole limit; Unavailable when the disk is full
  ///          or fails; PermissionDenied on a read-only disk; NotFound when the folder was removed.
  ///          Nothing of it is left then.
  Result<void> write(RecordKind kind, const CacheKey& key, std::span<const std::byte> payload);

  /// No failure when it is not there.
  Result<void> remove(RecordKind kind, const CacheKey& key);

  [[nodiscard]] DiskUsage usage() const;

  /// All of them, used longest ago first.
  [[nodiscard]] std::vector<RecordId> records() const;

  /// `onLost` is called for each record that is not there any more, whatever the reason.
  void watchLosses(std::function<void(const RecordId&)> onLost) { onLost_ = std::move(onLost); }

 private:
  struct Entry {
    std::uint64_t fileBytes = 0;
    std::list<RecordId>::iterator use;
  };
  using Index = std::unordered_map<RecordId, Entry, RecordIdHash>;
  struct Scan;

  DiskStore(std::filesystem::path path,
            FileDescriptor folder,
            std::uint64_t limitBytes,
            const StoreIdentity& identity,
            Logger& logger)
      : path_(std::move(path)),
        folder_(std::move(folder)),
        limitBytes_(limitBytes),
        identity_(identity),
        logger_(&logger) {}

  Result<void> scan();
  void inspect(const std::string& name, const RecordId& id, Scan& scan) const;
  Result<void> makeRoom(std::uint64_t bytes);
  Result<void> writeFile(const RecordId& id, std::span<const std::byte> payload);
  void add(const RecordId& id, std::uint64_t fileBytes);
  void forget(Index::iterator entry);
  /// Forgets and deletes a record that is broken, and says so.
  Error damaged(Index::iterator entry, const std::string& reason);
  /// "the cache folder F: cannot WHAT: strerror", with errno's code and remedy.
  [[nodiscard]] Error failed(const std::string& what, int error) const;
  std::int64_t nextStamp();

  std::filesystem::path path_;
  FileDescriptor folder_;  // open and locked
  std::uint64_t limitBytes_;
  StoreIdentity identity_;
  Logger* logger_;
  std::function<void(const RecordId&)> onLost_;

  Index index_;
  std::list<RecordId> uses_;  // longest ago first
  std::uint64_t bytes_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t damaged_ = 0;
  std::int64_t lastStamp_ = 0;  // nanoseconds since 1970; of the last use
};

}  // namespace tandem::kvcache
