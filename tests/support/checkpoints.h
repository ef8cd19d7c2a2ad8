// SPDX-License-Identifier: GPL-3.0-or-later
// Where tests find a checkpoint: in the repository first, else in a ../shared folder beside it.
#pragma once

#include <QDir>
#include <QFileInfo>
#include <QString>
#include <QStringList>

namespace tandem::test {

/// The first of `folders` (relative to the repository) that holds a config.json and `alsoNeeds`;
/// "" when there is none. Worktrees lie one level deeper than the repository.
inline QString findCheckpoint(const QStringList& folders, const QString& alsoNeeds = {}) {
  const QDir source(QStringLiteral(TANDEM_SOURCE_DIR));
  for (const QString& folder : folders) {
    for (const QString& up : {QString(), QStringLiteral("../"), QStringLiteral("../../")}) {
      const QString path = source.filePath(up + folder);
      const bool complete = QFileInfo::exists(path + QStringLiteral("/config.json")) &&
                            (alsoNeeds.isEmpty() || QFileInfo::exists(path + u'/' + alsoNeeds));
      if (complete) {
        return QFileInfo(path).canonicalFilePath();
      }
    }
  }
  return {};
}

/// A checkpoint for numerics: no tokenizer needed.
inline QString numericCheckpoint() {
  return findCheckpoint(
      {QStringLiteral("tests/golden/micro/model"), QStringLiteral("shared/oracle/tiny-a")});
}

/// A checkpoint that can chat.
inline QString chatCheckpoint() {
  return findCheckpoint(
      {QStringLiteral("resources/demo-model"), QStringLiteral("shared/oracle/tiny-trained")},
      QStringLiteral("tokenizer.json"));
}

}  // namespace tandem::test
