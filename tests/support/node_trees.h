// SPDX-License-Identifier: GPL-3.0-or-later
// The file trees of tests/fixtures/nodes, made for one test run.
#pragma once

#include <filesystem>

#include <QProcess>
#include <QString>
#include <QTemporaryDir>

namespace tandem::test {

/// "spark", "bare" and "broken" in a temporary folder; the generator says what they are.
class NodeTrees {
 public:
  NodeTrees() {
    QProcess python;
    python.setProcessChannelMode(QProcess::ForwardedChannels);
    python.start(
        QStringLiteral(TANDEM_PYTHON),
        {QStringLiteral(TANDEM_SOURCE_DIR "/tests/fixtures/nodes/make_nodes.py"), folder_.path()});
    python.waitForFinished();
    isMade_ = python.exitStatus() == QProcess::NormalExit && python.exitCode() == 0;
  }

  [[nodiscard]] bool isMade() const { return isMade_; }
  [[nodiscard]] QString path(const QString& tree) const { return folder_.filePath(tree); }
  [[nodiscard]] std::filesystem::path operator/(const char* tree) const {
    return std::filesystem::path(folder_.path().toStdString()) / tree;
  }

 private:
  QTemporaryDir folder_;
  bool isMade_ = false;
};

}  // namespace tandem::test
