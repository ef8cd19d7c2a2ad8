// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/log.h"

#include <cstdio>
#include <utility>

#include "engine/base/clock.h"

namespace tandem {

const char* logLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warning:
      return "warning";
    case LogLevel::Error:
      return "error";
  }
  return "info";
}

void StderrLogSink::write(const LogRecord& record) {
  const std::string time = formatWallTime(record.wallMs).substr(11, 12);
  fmt::print(stderr,
             "{} rank {} {} {}{}{}: {}\n",
             time,
             record.rank,
             logLevelName(record.level),
             record.module,
             record.request.empty() ? "" : " ",
             record.request,
             record.text);
}

void Logger::addSink(std::unique_ptr<LogSink> sink) {
  const MutexLock lock(mutex_);
  sinks_.push_back(std::move(sink));
}

void Logger::setMinimumLevel(LogLevel level) {
  const MutexLock lock(mutex_);
  minimum_ = level;
}

void Logger::write(LogLevel level,
                   std::string_view module,
                   std::string_view request,
                   std::string text) {
  const MutexLock lock(mutex_);
  append(LogRecord{0,
                   wallMilliseconds(),
                   rank_,
                   level,
                   std::string(module),
                   std::string(request),
                   std::move(text)});
}

void Logger::relay(LogRecord record) {
  const MutexLock lock(mutex_);
  append(std::move(record));
}

void Logger::append(LogRecord record) {
  if (record.level < minimum_) {
    return;
  }
  record.seq = ++lastSeq_;
  kept_.push_back(std::move(record));
  if (kept_.size() > kKept) {
    kept_.pop_front();
  }
  for (const std::unique_ptr<LogSink>& sink : sinks_) {
    sink->write(kept_.back());
  }
}

std::vector<LogRecord> Logger::recordsAfter(std::uint64_t afterSeq, std::size_t limit) const {
  const MutexLock lock(mutex_);
  std::vector<LogRecord> found;
  for (const LogRecord& record : kept_) {
    if (record.seq > afterSeq && found.size() < limit) {
      found.push_back(record);
    }
  }
  return found;
}

std::uint64_t Logger::lastSeq() const {
  const MutexLock lock(mutex_);
  return lastSeq_;
}

}  // namespace tandem
