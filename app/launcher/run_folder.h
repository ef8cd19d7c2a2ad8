// SPDX-License-Identifier: GPL-3.0-or-later
// The private folder where the engine of this user is found: socket, state, output, lock.
#pragma once

#include <QString>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::app {

/// Names in it. Whoever can write in it could pose as the engine, so it must be this user's and
/// nobody else's.
class RunFolder {
 public:
  explicit RunFolder(QString path)
      : path_(std::move(path)) {}

  /// tandem/demo below the session's runtime folder, else below tandem-UID in the folder for
  /// temporary files. Makes nothing.
  [[nodiscard]] static RunFolder ofDemo();

  [[nodiscard]] const QString& path() const { return path_; }
  [[nodiscard]] QString socket() const { return file(QStringLiteral("engine-0.sock")); }
  [[nodiscard]] QString state() const { return file(QStringLiteral("engine.json")); }
  [[nodiscard]] QString output() const { return file(QStringLiteral("engine.out")); }

  /// Nothing when the folder is there and is ours alone.
  /// Fails    NotFound; PermissionDenied when it is another user's, open to others, or no folder;
  ///          OutOfRange when the socket's path is longer than the system allows
  [[nodiscard]] Result<void> check() const;

  /// Makes it, and the folder above it, where missing, and checks both.
  [[nodiscard]] Result<void> make() const;

  /// Held by whoever starts an engine, until it is written down. Given back with the descriptor.
  /// Fails    AlreadyExists when another process has it at this moment; PermissionDenied
  [[nodiscard]] Result<FileDescriptor> lock() const;

 private:
  [[nodiscard]] QString file(const QString& name) const { return path_ + u'/' + name; }

  QString path_;
};

}  // namespace tandem::app
