// SPDX-License-Identifier: GPL-3.0-or-later
// Children that file modes bind, also when the tests run as root.
#pragma once

#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <QFile>
#include <QProcess>
#include <QString>
#include <QTemporaryDir>

namespace tandem::test {

/// For a child: root without the right to read whatever it likes is a user like others.
inline void obeyFileModes() {
  ::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
  ::prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
}

/// Whether a child can be made to obey file modes here.
inline bool childrenCanObeyFileModes() {
  if (::geteuid() != 0) {
    return true;
  }
  const QTemporaryDir folder;
  const QString path = folder.filePath(QStringLiteral("closed"));
  QFile file(path);
  if (!file.open(QIODevice::WriteOnly)) {
    return false;
  }
  file.close();
  QFile::setPermissions(path, QFile::Permissions());
  QProcess reader;
  reader.setChildProcessModifier(obeyFileModes);
  reader.start(QStringLiteral("cat"), {path});
  reader.waitForFinished();
  return reader.exitCode() != 0;
}

}  // namespace tandem::test
