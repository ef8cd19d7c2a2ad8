// SPDX-License-Identifier: GPL-3.0-or-later
// A text file that only grows by whole lines, up to a limit, after which a new one begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::control {

/// A file of mode 0600 in a folder that is made with mode 0700 if it is not there. When it is full
/// it is renamed to "NAME.1", replacing an older one. Not for several threads.
class LogFile {
 public:
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{16} << 20U;

  explicit LogFile(std::filesystem::path path, std::uint64_t maxBytes = kMaxBytes)
      : path_(std::move(path)),
        maxBytes_(maxBytes) {}

  /// Opens it unless it is open; append() does so by itself.
  /// Fails    Unavailable when the disk is full or broken, which may pass; PermissionDenied or
  ///          NotFound when the path is wrong, which does not
  Result<void> open();

  /// Adds `lines`, which end with a newline, or nothing. Call again after a failure.
  /// Fails    as open()
  Result<void> append(std::string_view lines);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  [[nodiscard]] Error failed(const char* what) const;
  Result<void> rotate();
  Result<void> writeAll(std::string_view bytes);

  const std::filesystem::path path_;
  const std::uint64_t maxBytes_;
  FileDescriptor file_;
  std::uint64_t bytes_ = 0;
  bool midLine_ = false;  // a line was begun and could not be taken back
};

}  // namespace tandem::control
