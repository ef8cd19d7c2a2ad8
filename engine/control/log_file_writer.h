// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps a logger's records in a file without anybody waiting for the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/control/log_file.h"
#include "engine/control/wake_up.h"

namespace tandem::control {

/// Writes every record as a line of logLine() on its own thread, "log file", from create() to its
/// end, by which what was logged before is written.
///
/// When the disk is full, or fails, the file pauses: the logger is told once, with a warning, and
/// each later record is a new try. What is still kept by the logger then follows; what is not is
/// counted, and a record in its place says how many are missing.
class LogFileWriter {
 public:
  /// `logger` must outlive it. A full disk is no failure: the file begins paused.
  /// Fails    PermissionDenied, NotFound: the path is wrong; Unavailable without descriptors
  static Result<std::unique_ptr<LogFileWriter>> create(LogFile file, Logger& logger);
  ~LogFileWriter();
  LogFileWriter(const LogFileWriter&) = delete;
  LogFileWriter& operator=(const LogFileWriter&) = delete;

 private:
  LogFileWriter(LogFile file, Logger& logger, std::shared_ptr<WakeUp> wakeUp);

  void run();
  /// Writes what is new. False when there is nothing left to do now.
  bool writeSome();
  void pause(const Error& error);
  void resume();

  Logger& logger_;
  const std::shared_ptr<WakeUp> wakeUp_;
  std::atomic<bool> ending_{false};

  // The thread.
  LogFile file_;
  std::uint64_t lastSeq_ = 0;  // written, or given up
  std::uint64_t missing_ = 0;  // since the pause began
  bool paused_ = false;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tandem::control
