// SPDX-License-Identifier: GPL-3.0-or-later
// Notices the end of a process, child or not.
#pragma once

#include <cstdint>
#include <memory>

#include <QObject>
#include <QSocketNotifier>
#include <QString>

#include "engine/base/file_descriptor.h"

namespace tandem::app {

/// Owns a pidfd.
/// Thread   the one that made it
class ProcessWatch : public QObject {
  Q_OBJECT
  Q_DISABLE_COPY_MOVE(ProcessWatch)

 public:
  explicit ProcessWatch(QObject* parent = nullptr);
  ~ProcessWatch() override;

  /// Watches this one from now on. False when there is no such process.
  bool watch(std::int64_t pid);
  void stop();
  [[nodiscard]] bool active() const { return process_.valid(); }

 signals:
  /// `how` is "exit code 75" or "signal 9"; "" for one that is no child of ours, whose end only its
  /// parent is told.
  void ended(const QString& how);

 private:
  void end();

  FileDescriptor process_;
  std::unique_ptr<QSocketNotifier> notifier_;
};

}  // namespace tandem::app
