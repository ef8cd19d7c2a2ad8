// SPDX-License-Identifier: GPL-3.0-or-later
// A connection to an engine that is taken up again when it breaks.
#pragma once

#include <chrono>
#include <cstdint>

#include <QObject>
#include <QString>
#include <QTimer>

#include "app/launcher/control_client.h"

namespace tandem::app {

/// Opens the control socket as soon as there is one, with growing pauses, and again after a break;
/// the log goes on after the last record. What the engine says comes from client().
/// Thread   the one that made it
class EngineConnection : public QObject {
  Q_OBJECT

 public:
  EngineConnection();

  /// Keeps a connection to this engine until close().
  void open(const QString& socket);
  void close();

  [[nodiscard]] ControlClient& client() { return client_; }

 signals:
  /// Could not be made or was lost, `why` says how; the next try follows unless close() is called.
  void broken(const tandem::Error& why);
  /// It has been so for long enough to be shown, or the two do not understand each other, which
  /// will not pass.
  void silent(const tandem::Error& why);

 private:
  void tryNow();
  void closed(const Error& why);
  void silenceIsLong();

  ControlClient client_;
  QString socket_;
  std::uint64_t lastSeq_ = 0;
  QTimer retry_;
  QTimer silence_;
  std::chrono::milliseconds pause_{0};
};

}  // namespace tandem::app
