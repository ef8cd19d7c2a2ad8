// SPDX-License-Identifier: GPL-3.0-or-later
// A limit on the size of files, as a disk without room.
#pragma once

#include <sys/resource.h>

namespace tandem::test {

/// No file of this process grows beyond `bytes` until the end of the scope.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace tandem::test
