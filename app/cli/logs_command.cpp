// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/logs_command.h"

#include <fmt/core.h>

#include <deque>
#include <optional>
#include <utility>

#include <QCoreApplication>
#include <QFile>
#include <QTimer>

#include "app/cli/terminal.h"
#include "app/cli/words.h"
#include "app/launcher/standard_folders.h"
#include "engine/protocol/log_record_json.h"

namespace tandem::cli {

namespace {

/// The records of the newest engine in a file that several may have written to, one after the
/// other: at most as many as an engine keeps.
std::deque<LogRecord> newestRecords(QFile& file, int& unreadable) {
  std::deque<LogRecord> records;
  while (!file.atEnd()) {
    const QByteArray line = file.readLine().trimmed();
    Result<LogRecord> record =
        protocol::parseLogLine({line.constData(), static_cast<std::size_t>(line.size())});
    if (!record) {
      unreadable += line.isEmpty() ? 0 : 1;
      continue;
    }
    if (!records.empty() && record->seq <= records.back().seq) {
      records.clear();
    }
    records.push_back(std::move(*record));
    if (records.size() > Logger::kKept) {
      records.pop_front();
    }
  }
  return records;
}

}  // namespace

LogsCommand::LogsCommand(CliOptions options)
    : options_(std::move(options)),
      host_(options_.engine) {
  connect(&client_, &app::ControlClient::opened, this, &LogsCommand::opened);
  connect(&client_, &app::ControlClient::logArrived, this, &LogsCommand::tell);
  connect(&client_, &app::ControlClient::closed, this, &LogsCommand::closed);
  QTimer::singleShot(0, this, &LogsCommand::begin);
}

void LogsCommand::begin() {
  const std::optional<app::EngineProcess> process = host_.find();
  if (!process) {
    tellFile();
    return;
  }
  protocol::Topics topics;
  topics.log = true;
  client_.open(process->controlSocket, topics);
}

void LogsCommand::opened(const protocol::Hello& hello) {
  opened_ = true;
  newestKept_ = hello.lastLogSeq;
  if (newestKept_ == 0 && !options_.follow) {
    QCoreApplication::exit(kExitOk);
  }
}

void LogsCommand::tell(const std::vector<LogRecord>& records) {
  for (const LogRecord& record : records) {
    // What came after the question belongs to --follow.
    if (options_.follow || record.seq <= newestKept_) {
      print(record);
    }
  }
  if (!options_.follow && records.back().seq >= newestKept_) {
    client_.close();
    QCoreApplication::exit(kExitOk);
  }
}

void LogsCommand::closed(const Error& why) {
  if (!opened_ && why.code == ErrorCode::Unavailable) {
    tellFile();  // it has no socket yet, or any more
    return;
  }
  const bool ended = opened_ && why.code == ErrorCode::Unavailable;
  printError(ended ? Error{ErrorCode::Unavailable, "the engine has closed its log", ""} : why);
  QCoreApplication::exit(ended ? kExitOk : kExitFailed);
}

void LogsCommand::tellFile() {
  const QString folder =
      options_.engine.logFolder.isEmpty() ? app::stateFolder() : options_.engine.logFolder;
  QFile file(folder + QStringLiteral("/engine-0.jsonl"));
  const std::string name = file.fileName().toStdString();
  if (!file.open(QIODevice::ReadOnly)) {
    printError({ErrorCode::NotFound,
                fmt::format("no engine of this user runs, and its log {} cannot be read: {}",
                            name,
                            file.errorString().toStdString()),
                ""});
    QCoreApplication::exit(kExitFailed);
    return;
  }
  int unreadable = 0;
  for (const LogRecord& record : newestRecords(file, unreadable)) {
    print(record);
  }
  if (unreadable > 0) {
    printError({ErrorCode::DataCorrupt,
                fmt::format("{} lines of {} are no log records", unreadable, name),
                ""});
  }
  if (options_.follow) {
    printError({ErrorCode::Unavailable, "no engine of this user runs: nothing more will come", ""});
  }
  QCoreApplication::exit(kExitOk);
}

void LogsCommand::print(const LogRecord& record) const {
  printLine(options_.json ? protocol::logLine(record) : logText(record));
}

}  // namespace tandem::cli
