// SPDX-License-Identifier: GPL-3.0-or-later
// The XDG base directories that Qt 6.4 does not give as needed: its RuntimeLocation prints a
// warning and makes a folder of its own when there is none, and it knows no state folder.
#include "app/launcher/standard_folders.h"

#include <sys/stat.h>
#include <unistd.h>

#include <QDir>
#include <QFile>

namespace tandem::app {

QString runtimeFolder() {
  const QString folder = qEnvironmentVariable("XDG_RUNTIME_DIR");
  struct stat facts {};
  const bool usable = QDir::isAbsolutePath(folder) &&
                      ::lstat(QFile::encodeName(folder).constData(), &facts) == 0 &&
                      S_ISDIR(facts.st_mode) && facts.st_uid == ::geteuid() &&
                      (facts.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  return usable ? folder : QString();
}

QString stateFolder() {
  const QString base = qEnvironmentVariable("XDG_STATE_HOME");
  // The convention says to ignore a relative path.
  return QDir(QDir::isAbsolutePath(base) ? base
                                         : QDir::home().filePath(QStringLiteral(".local/state")))
      .filePath(QStringLiteral("tandem"));
}

}  // namespace tandem::app
