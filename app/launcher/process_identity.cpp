// SPDX-License-Identifier: GPL-3.0-or-later
// Reads /proc.
#include "app/launcher/process_identity.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include <QByteArray>
#include <QList>

#include "engine/base/whole_file.h"

namespace tandem::app {

namespace {

// Of the words behind the command's name, the first of which is field 3 of proc(5).
constexpr qsizetype kState = 0;
constexpr qsizetype kStartTime = 22 - 3;

QString bootId() {
  const Result<std::string> text = readWholeFile("/proc/sys/kernel/random/boot_id");
  return text ? QString::fromStdString(*text).trimmed() : QString();
}

}  // namespace

std::optional<ProcessIdentity> identifyProcess(std::int64_t pid) {
  if (pid <= 0) {
    return std::nullopt;
  }
  const Result<std::string> stat = readWholeFile("/proc/" + std::to_string(pid) + "/stat");
  if (!stat) {
    return std::nullopt;
  }
  // The name is in parentheses and may hold any character, these included.
  const QByteArray text = QByteArray::fromStdString(*stat);
  const QList<QByteArray> words = text.mid(text.lastIndexOf(')') + 2).split(' ');
  if (words.size() <= kStartTime || words[kState] == "Z" || words[kState] == "X") {
    return std::nullopt;
  }
  bool isNumber = false;
  const quint64 ticks = words[kStartTime].toULongLong(&isNumber);
  if (!isNumber) {
    return std::nullopt;
  }
  return ProcessIdentity{pid, ticks, bootId()};
}

FileDescriptor openProcess(const ProcessIdentity& process) {
  FileDescriptor descriptor(
      static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0)));
  // In this order: what the descriptor stands for cannot change any more.
  if (descriptor.valid() && identifyProcess(process.pid) != process) {
    descriptor.reset();
  }
  return descriptor;
}

}  // namespace tandem::app
