// SPDX-License-Identifier: GPL-3.0-or-later
// Rank 1 as a child process on this host: started, watched, and never left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::tools {

/// A folder only this user can enter, removed with everything in it when destroyed.
class PrivateFolder {
 public:
  /// Below $XDG_RUNTIME_DIR if there is one, else below the folder for temporary files.
  static Result<std::unique_ptr<PrivateFolder>> create();
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit PrivateFolder(std::filesystem::path path)
      : path_(std::move(path)) {}

  const std::filesystem::path path_;
};

/// `tandem-engine worker` with the peer's address and secret. The kernel kills it when this process
/// dies, however that happens.
class LocalWorker {
 public:
  /// Starts it. Call from the main thread: the kernel watches the thread, not the process.
  ///
  /// more     further words of its command line
  /// Fails    Unavailable when there is no process or descriptor left.
  static Result<std::unique_ptr<LocalWorker>> start(const std::filesystem::path& model,
                                                    std::uint16_t peerPort,
                                                    const std::filesystem::path& secretFile,
                                                    const std::vector<std::string>& more = {});

  /// Kills it if it still runs.
  ~LocalWorker();
  LocalWorker(const LocalWorker&) = delete;
  LocalWorker& operator=(const LocalWorker&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Waits for its end. Gives "exit code 75" or "signal 9", or "" if it still runs.
  std::string waitForEnd(std::chrono::milliseconds patience);

 private:
  LocalWorker(pid_t pid, FileDescriptor pidFd)
      : pid_(pid),
        pidFd_(std::move(pidFd)) {}

  const pid_t pid_;
  const FileDescriptor pidFd_;
  std::string end_;
};

}  // namespace tandem::tools
