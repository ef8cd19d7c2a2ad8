// SPDX-License-Identifier: GPL-3.0-or-later
// One connection to an engine's control socket: requests out, values in.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <QByteArray>
#include <QLocalSocket>
#include <QObject>
#include <QString>
#include <QTimer>

#include "engine/api/engine_stats.h"
#include "engine/api/event_sink.h"
#include "engine/api/phase_event.h"
#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/protocol/control_message.h"

namespace tandem::app {

/// Says hello, subscribes, and passes on what the engine says. Any of its slots may be called from
/// a slot of its signals.
/// Thread   the one that made it; never blocks
class ControlClient : public QObject {
  Q_OBJECT
  Q_DISABLE_COPY_MOVE(ControlClient)

 public:
  explicit ControlClient(QObject* parent = nullptr);
  ~ControlClient() override;

  /// How long connecting and each answer may take. The engine answers at once, also while it loads.
  void setReplyLimit(std::chrono::milliseconds limit) { reply_.setInterval(limit); }

  /// Connects anew. opened() or closed() follows, perhaps before this returns.
  void open(const QString& socket, const protocol::Topics& topics);

  /// Ends the connection; nothing is said any more.
  void close();

  /// Said hello and subscribed, and not closed since.
  [[nodiscard]] bool isOpen() const { return open_; }

  /// Needs isOpen(). statusArrived() or refused() follows.
  void requestStatus();

  /// Needs isOpen(). stopping() or refused() follows, then the engine's states.
  /// drainSeconds  for open answers; none: the engine's own patience
  void requestStop(std::optional<double> drainSeconds);

 signals:
  void opened(const tandem::protocol::Hello& hello);
  void statusArrived(const tandem::protocol::Status& status);
  void stopping();
  void refused(const tandem::Error& error);
  void stateArrived(const tandem::api::StateEvent& event);
  void phaseArrived(const tandem::api::PhaseEvent& event);
  void statsArrived(const tandem::api::EngineStats& stats);
  /// Those that came together, in order of seq.
  void logArrived(const std::vector<tandem::LogRecord>& records);
  /// The connection is gone, or there was none. Unavailable: nobody listens, or the engine closed
  /// it; Timeout: no answer; PermissionDenied: the socket may not be used; DataCorrupt and what the
  /// engine refused hello with: the two do not understand each other, now and later.
  void closed(const tandem::Error& why);

 private:
  enum class Asked { Hello, Subscribe, Status, Stop };

  void ask(Asked what, protocol::RequestBody body);
  void connectionFailed(QLocalSocket::LocalSocketError error);
  void read();
  void readLine(std::string_view line);
  void take(const protocol::ControlMessage& message);
  void takeReply(std::int64_t id, const protocol::MessageBody& body);
  void takeEvent(const protocol::MessageBody& body);
  void flushLog();
  void end(const Error& why);

  QString path_;
  protocol::Topics topics_;
  std::unique_ptr<QLocalSocket> socket_;
  QByteArray received_;  // the beginning of a line
  std::vector<LogRecord> records_;
  std::optional<protocol::Hello> hello_;
  bool open_ = false;
  std::int64_t nextId_ = 1;
  std::map<std::int64_t, Asked> waiting_;  // by id, so the oldest first
  QTimer reply_;                           // of the oldest
};

}  // namespace tandem::app
