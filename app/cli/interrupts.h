// SPDX-License-Identifier: GPL-3.0-or-later
// Ctrl+C and the polite ways to end a program, as a signal of the event loop.
#pragma once

#include <QObject>
#include <QSocketNotifier>

#include "engine/base/file_descriptor.h"

namespace tandem::cli {

/// Blocks SIGINT, SIGTERM and SIGHUP from its making on, for good.
class Interrupts : public QObject {
  Q_OBJECT

 public:
  Interrupts();

 signals:
  /// Once for each.
  void interrupted();

 private:
  void take();

  FileDescriptor signals_;
  QSocketNotifier notifier_;
};

}  // namespace tandem::cli
