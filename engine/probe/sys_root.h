// SPDX-License-Identifier: GPL-3.0-or-later
// The file tree that facts are read from: this machine's, or a folder that stands for a machine.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::probe {

/// Reads a tree in bounded time and memory whatever is in it. Paths are given without a leading
/// slash ("proc/meminfo"). Links are followed inside the tree only: an absolute one, or one that
/// climbs, ends inside it too.
///
/// Every call fails with NotFound when there is nothing to read: no such file, or the kernel has no
/// value for it now (`carrier` of an interface that is switched off); and with another code and
/// the reason when there is something that cannot be read.
class SysRoot {
 public:
  /// Files longer than this are not facts.
  static constexpr std::size_t kMaxFileBytes = std::size_t{4} << 20;
  /// Folders with more entries are read this far.
  static constexpr std::size_t kMaxEntries = 4096;

  /// Fails    NotFound, InvalidArgument (not a folder), PermissionDenied, with what to do
  static Result<SysRoot> open(const std::filesystem::path& folder);

  /// Whether this is the machine itself, of which more can be asked than its files.
  [[nodiscard]] bool isThisMachine() const { return isThisMachine_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// A regular file's bytes.
  /// Fails    OutOfRange beyond kMaxFileBytes; DataCorrupt for what is no regular file
  [[nodiscard]] Result<std::string> read(const std::string& path) const;

  /// Names in a folder, sorted.
  [[nodiscard]] Result<std::vector<std::string>> names(const std::string& path) const;

  /// The last part of what a link points at: "0000:01:00.0" of a device.
  [[nodiscard]] Result<std::string> linkName(const std::string& path) const;

  [[nodiscard]] bool exists(const std::string& path) const;

 private:
  SysRoot(std::filesystem::path folder, FileDescriptor descriptor, bool isThisMachine)
      : folder_(std::move(folder)),
        descriptor_(std::move(descriptor)),
        isThisMachine_(isThisMachine) {}

  [[nodiscard]] FileDescriptor openInside(const std::string& path, int flags) const;

  std::filesystem::path folder_;
  FileDescriptor descriptor_;
  bool isThisMachine_;
};

}  // namespace tandem::probe
