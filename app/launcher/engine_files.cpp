// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/launcher/engine_files.h"

#include <fmt/core.h>

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QStandardPaths>
#include <QStringList>

namespace tandem::app {

Result<QString> findEngineProgram() {
  const QString name = QStringLiteral("tandem-engine");
  const QString here = QCoreApplication::applicationDirPath();
  for (const QStringList& folders : {QStringList{here}, QStringList{}}) {
    // Without folders it looks in PATH.
    if (const QString found = QStandardPaths::findExecutable(name, folders); !found.isEmpty()) {
      return found;
    }
  }
  return Error{ErrorCode::NotFound,
               fmt::format("tandem-engine is neither in {} nor in PATH", here.toStdString()),
               "Install or build Tandem again."};
}

Result<QString> findDemoModel() {
  const QDir here(QCoreApplication::applicationDirPath());
  QStringList looked;
  for (const QString& relative : {QStringLiteral("../share/tandem/demo-model"),        // installed
                                  QStringLiteral("../../../resources/demo-model")}) {  // build tree
    const QString folder = QDir::cleanPath(here.filePath(relative));
    if (QFileInfo::exists(folder + QStringLiteral("/config.json"))) {
      return folder;
    }
    looked << folder;
  }
  return Error{ErrorCode::NotFound,
               fmt::format("the demo model is neither {}",
                           looked.join(QStringLiteral(" nor ")).toStdString()),
               "Give a model's folder, or install Tandem again."};
}

}  // namespace tandem::app
