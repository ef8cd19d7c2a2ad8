// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/launcher/local_engine_host.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): <csignal> promises no POSIX names
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <QCoreApplication>
#include <QDir>
#include <QFile>
#include <QFileInfo>

#include "app/launcher/detached_process.h"
#include "app/launcher/engine_files.h"
#include "app/launcher/output_tail.h"
#include "app/launcher/standard_folders.h"
#include "engine/base/clock.h"

namespace tandem::app {

namespace {

EngineProcess processOf(const EngineRecord& record) {
  return {record.process.pid, record.controlSocket};
}

Result<QString> modelFolder(const LocalEngineOptions& options) {
  if (options.modelFolder.isEmpty()) {
    return findDemoModel();
  }
  const QFileInfo given(options.modelFolder);
  if (!given.exists()) {
    return Error{
        ErrorCode::NotFound,
        fmt::format("the model folder {} does not exist", given.absoluteFilePath().toStdString()),
        "Give the folder of a DeepSeek-V4 checkpoint."};
  }
  // The engine does not run in this process's folder.
  return given.absoluteFilePath();
}

}  // namespace

LocalEngineHost::LocalEngineHost(LocalEngineOptions options)
    : options_(std::move(options)),
      folder_(options_.runFolder.isEmpty() ? RunFolder::ofDemo() : RunFolder(options_.runFolder)) {}

QString LocalEngineHost::name() const {
  return QCoreApplication::translate("LocalEngineHost", "Demo cluster on this machine");
}

Result<EngineProcess> LocalEngineHost::start() {
  const Result<QString> program =
      options_.program.isEmpty() ? findEngineProgram() : Result<QString>(options_.program);
  if (!program) {
    return program.error();
  }
  const Result<QString> model = modelFolder(options_);
  if (!model) {
    return model.error();
  }
  if (const Result<void> made = folder_.make(); !made) {
    return made.error();
  }
  const Result<FileDescriptor> lock = folder_.lock();
  if (!lock) {
    return lock.error();
  }
  if (const std::optional<EngineRecord> other = running()) {
    return Error{ErrorCode::AlreadyExists,
                 fmt::format("an engine of this user runs already (pid {})", other->process.pid),
                 "Stop it first, or use it."};
  }
  const QByteArray outputFile = QFile::encodeName(folder_.output());
  const FileDescriptor output(
      ::open(outputFile.constData(),
             O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
             S_IRUSR | S_IWUSR));
  if (!output.valid()) {
    return Error{
        ErrorCode::PermissionDenied,
        fmt::format("{} cannot be written: {}", outputFile.toStdString(), std::strerror(errno)),
        ""};
  }
  const QString logFolder = options_.logFolder.isEmpty() ? stateFolder() : options_.logFolder;
  if (!QDir().mkpath(logFolder)) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the folder {} for the log cannot be made", logFolder.toStdString()),
                 "Make it, or free the name."};
  }
  EngineRecord record{{}, folder_.socket(), *model, options_.port, wallMilliseconds()};
  const DetachedProgram serve{QFile::encodeName(*program).toStdString(),
                              {"serve",
                               "--model",
                               QFile::encodeName(*model).toStdString(),
                               "--ranks",
                               std::to_string(options_.ranks),
                               "--port",
                               std::to_string(options_.port),
                               "--control",
                               QFile::encodeName(record.controlSocket).toStdString(),
                               "--log-folder",
                               QFile::encodeName(logFolder).toStdString()},
                              output.get()};
  const Result<ProcessIdentity> started =
      startDetached(serve, [&](const ProcessIdentity& identity) {
        record.process = identity;
        return writeEngineRecord(folder_.state(), record);
      });
  if (!started) {
    QFile::remove(folder_.state());
    return started.error();
  }
  return processOf(record);
}

std::optional<EngineRecord> LocalEngineHost::running() const {
  if (!folder_.check()) {
    return std::nullopt;
  }
  const Result<EngineRecord> record = readEngineRecord(folder_.state());
  if (!record || identifyProcess(record->process.pid) != record->process) {
    return std::nullopt;
  }
  return *record;
}

std::optional<EngineProcess> LocalEngineHost::find() const {
  const std::optional<EngineRecord> record = running();
  return record ? std::optional(processOf(*record)) : std::nullopt;
}

std::optional<EngineProcess> LocalEngineHost::findLost() const {
  if (!folder_.check() || running()) {
    return std::nullopt;
  }
  const Result<EngineRecord> record = readEngineRecord(folder_.state());
  // An engine that ends in order, or with a failure it can tell of, takes its socket along.
  if (!record || !QFileInfo::exists(record->controlSocket)) {
    return std::nullopt;
  }
  return processOf(*record);
}

Result<void> LocalEngineHost::terminate(bool force) {
  const std::optional<EngineRecord> record = running();
  if (!record) {
    return {};
  }
  const FileDescriptor process = openProcess(record->process);
  if (!process.valid()) {
    return {};
  }
  const int signal = force ? SIGKILL : SIGTERM;
  if (::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) != 0 && errno != ESRCH) {
    return Error{ErrorCode::PermissionDenied,
                 fmt::format("the engine (pid {}) could not be ended: {}",
                             record->process.pid,
                             std::strerror(errno)),
                 ""};
  }
  if (force) {
    // It could not do so itself, and it is not lost: somebody asked.
    QFile::remove(record->controlSocket);
  }
  return {};
}

std::vector<QString> LocalEngineHost::lastOutput(int lines) const {
  return folder_.check() ? lastLines(folder_.output(), lines) : std::vector<QString>();
}

}  // namespace tandem::app
