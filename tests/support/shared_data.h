// SPDX-License-Identifier: GPL-3.0-or-later
// Where tests find reference data that lies beside the repository and is not part of it.
#pragma once

#include <QFileInfo>
#include <QString>

namespace tandem::test {

/// The folder ../shared/data/NAME, one level further up from a worktree; "" when it is not there.
inline QString sharedData(const QString& name) {
  for (const QString& up : {QStringLiteral("/../"), QStringLiteral("/../../")}) {
    const QString path =
        QStringLiteral(TANDEM_SOURCE_DIR) + up + QStringLiteral("shared/data/") + name;
    if (QFileInfo::exists(path)) {
      return QFileInfo(path).canonicalFilePath();
    }
  }
  return {};
}

}  // namespace tandem::test
