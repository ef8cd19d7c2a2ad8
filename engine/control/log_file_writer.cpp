// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/log_file_writer.h"

#include <fmt/core.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names

#include <utility>
#include <vector>

#include "engine/base/thread_name.h"
#include "engine/protocol/log_record_json.h"

namespace tandem::control {

namespace {

constexpr std::size_t kBatch = 256;

/// Stands in the file for `count` records before `next`.
std::string gapLine(const LogRecord& next, std::uint64_t count) {
  LogRecord gap;
  gap.seq = next.seq - 1;
  gap.wallMs = next.wallMs;
  gap.rank = next.rank;
  gap.level = LogLevel::Warning;
  gap.module = "log";
  gap.text = fmt::format("{} records are missing here: the file could not be written", count);
  return protocol::logLine(gap) + '\n';
}

}  // namespace

Result<std::unique_ptr<LogFileWriter>> LogFileWriter::create(LogFile file, Logger& logger) {
  Result<EventFd> event = EventFd::create();
  if (!event) {
    return event.error();
  }
  if (const Result<void> opened = file.open();
      !opened && opened.error().code != ErrorCode::Unavailable) {
    return opened.error();
  }
  auto wakeUp = std::make_shared<WakeUp>(*std::move(event));
  logger.addSink(std::make_unique<WakeUpSink>(wakeUp));
  return std::unique_ptr<LogFileWriter>(
      new LogFileWriter(std::move(file), logger, std::move(wakeUp)));
}

LogFileWriter::LogFileWriter(LogFile file, Logger& logger, std::shared_ptr<WakeUp> wakeUp)
    : logger_(logger),
      wakeUp_(std::move(wakeUp)),
      file_(std::move(file)),
      thread_([this] { run(); }) {}

LogFileWriter::~LogFileWriter() {
  ending_ = true;
  wakeUp_->ring();
  thread_.join();
}

void LogFileWriter::run() {
  nameThisThread("log file");
  // Beyond a limit of file size the kernel would end the process; blocked, write() just fails.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  bool last = false;
  while (true) {
    while (writeSome()) {
    }
    if (last) {
      return;
    }
    pollfd entry{wakeUp_->fd(), POLLIN, 0};
    ::poll(&entry, 1, -1);
    wakeUp_->hear();
    last = ending_;
  }
}

bool LogFileWriter::writeSome() {
  const std::vector<LogRecord> records = logger_.recordsAfter(lastSeq_, kBatch);
  if (records.empty()) {
    return false;
  }
  std::string lines;
  const std::uint64_t lost = records.front().seq - lastSeq_ - 1;
  if (lost > 0) {
    lines = gapLine(records.front(), lost);
  }
  for (const LogRecord& record : records) {
    lines += protocol::logLine(record) + '\n';
  }
  if (const Result<void> written = file_.append(lines); !written) {
    pause(written.error());
    return false;
  }
  lastSeq_ = records.back().seq;
  missing_ += lost;
  resume();
  return true;
}

void LogFileWriter::pause(const Error& error) {
  if (!paused_) {
    paused_ = true;
    missing_ = 0;
    logger_.warning("log", "{}; it is paused until that works again", error.message);
  }
}

void LogFileWriter::resume() {
  if (paused_) {
    paused_ = false;
    logger_.info("log",
                 "the log file {} goes on; {} records are missing in it",
                 file_.path().string(),
                 missing_);
  }
}

}  // namespace tandem::control
