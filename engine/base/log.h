// SPDX-License-Identifier: GPL-3.0-or-later
// Structured log records, and the logger that numbers them, keeps the last ones and feeds the
// sinks.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/thread_annotations.h"

namespace tandem {

enum class LogLevel { Debug, Info, Warning, Error };

/// "debug" "info" "warning" "error", as in JSON.
[[nodiscard]] const char* logLevelName(LogLevel level);

/// One line of the log. `seq` counts from 1 without gaps within a process; `request` is "" for
/// lines that belong to no request.
struct LogRecord {
  std::uint64_t seq = 0;
  std::int64_t wallMs = 0;
  int rank = 0;
  LogLevel level = LogLevel::Info;
  std::string module;
  std::string request;
  std::string text;
};

/// Where records go besides the ring: a file, stderr, a test. `write` is called with the logger's
/// lock held, in order of seq, and must not log.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(const LogRecord& record) = 0;
};

/// Prints "13:37:05.120 rank 0 warning weights: text" to stderr.
class StderrLogSink final : public LogSink {
 public:
  void write(const LogRecord& record) override;
};

/// Numbers records, keeps the newest `kKept` of them for replay and hands each to the sinks.
/// Any thread.
class Logger {
 public:
  static constexpr std::size_t kKept = 10000;

  explicit Logger(int rank)
      : rank_(rank) {}

  void addSink(std::unique_ptr<LogSink> sink) TANDEM_EXCLUDES(mutex_);
  void setMinimumLevel(LogLevel level) TANDEM_EXCLUDES(mutex_);

  void write(LogLevel level, std::string_view module, std::string_view request, std::string text)
      TANDEM_EXCLUDES(mutex_);

  /// Takes over a record of another rank: its time, rank and text stay, its number is ours.
  void relay(LogRecord record) TANDEM_EXCLUDES(mutex_);

  template <typename... Args>
  void debug(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::Debug, module, {}, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void info(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::Info, module, {}, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void warning(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::Warning, module, {}, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void error(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::Error, module, {}, fmt::format(format, std::forward<Args>(args)...));
  }

  /// Kept records with seq > `afterSeq`, oldest first, at most `limit`.
  [[nodiscard]] std::vector<LogRecord> recordsAfter(std::uint64_t afterSeq,
                                                    std::size_t limit = kKept) const
      TANDEM_EXCLUDES(mutex_);
  [[nodiscard]] std::uint64_t lastSeq() const TANDEM_EXCLUDES(mutex_);

 private:
  void append(LogRecord record) TANDEM_REQUIRES(mutex_);

  const int rank_;
  mutable Mutex mutex_;
  LogLevel minimum_ TANDEM_GUARDED_BY(mutex_) = LogLevel::Info;
  std::uint64_t lastSeq_ TANDEM_GUARDED_BY(mutex_) = 0;
  std::deque<LogRecord> kept_ TANDEM_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<LogSink>> sinks_ TANDEM_GUARDED_BY(mutex_);
};

}  // namespace tandem
