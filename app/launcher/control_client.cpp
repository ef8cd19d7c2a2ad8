// SPDX-License-Identifier: GPL-3.0-or-later
// Cuts what arrives into lines and matches answers with requests.
#include "app/launcher/control_client.h"

#include <fmt/core.h>

#include <string>
#include <utility>
#include <variant>

#include <QCoreApplication>

namespace tandem::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kReplyLimit = 5s;
// More than one line, so that one of exactly the limit fits; bounds what an event loop that is
// busy leaves in memory.
constexpr qint64 kReadBufferBytes = qint64{2} * protocol::kMaxLineBytes;

/// "tandemctl 0.1.0", for the engine's log.
std::string programName() {
  const QString name =
      QCoreApplication::applicationName() + u' ' + QCoreApplication::applicationVersion();
  return name.trimmed().toStdString();
}

/// The memory is left to the event loop: this may be inside one of the socket's signals.
void drop(std::unique_ptr<QLocalSocket>& socket, QObject* receiver) {
  if (socket) {
    socket->disconnect(receiver);
    socket->abort();
    socket.release()->deleteLater();
  }
}

}  // namespace

ControlClient::ControlClient(QObject* parent)
    : QObject(parent) {
  reply_.setSingleShot(true);
  reply_.setInterval(kReplyLimit);
  connect(&reply_, &QTimer::timeout, this, [this] {
    end(Error{ErrorCode::Timeout,
              fmt::format("the engine did not answer on {} within {:.1f} s",
                          path_.toStdString(),
                          std::chrono::duration<double>(reply_.intervalAsDuration()).count()),
              "If it stays so, stop the engine."});
  });
}

ControlClient::~ControlClient() {
  drop(socket_, this);
}

void ControlClient::open(const QString& socket, const protocol::Topics& topics) {
  close();
  path_ = socket;
  topics_ = topics;
  socket_ = std::make_unique<QLocalSocket>();
  socket_->setReadBufferSize(kReadBufferBytes);
  connect(socket_.get(), &QLocalSocket::connected, this, [this] {
    ask(Asked::Hello, protocol::HelloRequest{programName()});
  });
  connect(socket_.get(), &QLocalSocket::readyRead, this, &ControlClient::read);
  connect(socket_.get(), &QLocalSocket::errorOccurred, this, &ControlClient::connectionFailed);
  reply_.start();
  socket_->connectToServer(path_);
}

void ControlClient::close() {
  drop(socket_, this);
  reply_.stop();
  open_ = false;
  hello_.reset();
  waiting_.clear();
  received_.clear();
  records_.clear();
}

void ControlClient::requestStatus() {
  ask(Asked::Status, protocol::StatusRequest{});
}

void ControlClient::requestStop(std::optional<double> drainSeconds) {
  ask(Asked::Stop, protocol::StopRequest{drainSeconds});
}

void ControlClient::ask(Asked what, protocol::RequestBody body) {
  if (!socket_) {
    return;
  }
  const std::int64_t id = nextId_++;
  if (waiting_.empty()) {
    reply_.start();
  }
  waiting_.emplace(id, what);
  socket_->write(
      QByteArray::fromStdString(protocol::encode(protocol::ControlRequest{id, std::move(body)})));
  socket_->flush();
}

void ControlClient::connectionFailed(QLocalSocket::LocalSocketError error) {
  if (error == QLocalSocket::PeerClosedError) {
    read();  // what it said before it went
    end(Error{ErrorCode::Unavailable,
              fmt::format("the engine closed the connection on {}", path_.toStdString()),
              ""});
    return;
  }
  const bool denied = error == QLocalSocket::SocketAccessError;
  end(Error{denied ? ErrorCode::PermissionDenied : ErrorCode::Unavailable,
            fmt::format("the control socket {} cannot be used: {}",
                        path_.toStdString(),
                        socket_ ? socket_->errorString().toStdString() : ""),
            denied ? "Run this as the engine's user, or join the group of the socket." : ""});
}

void ControlClient::read() {
  while (socket_ && socket_->bytesAvailable() > 0) {
    received_ += socket_->readAll();
    qsizetype begin = 0;
    for (qsizetype newline = received_.indexOf('\n'); newline >= 0 && socket_;
         newline = received_.indexOf('\n', begin)) {
      readLine({received_.constData() + begin, static_cast<std::size_t>(newline - begin)});
      begin = newline + 1;
    }
    if (!socket_) {
      return;
    }
    received_.remove(0, begin);
    if (static_cast<std::size_t>(received_.size()) >= protocol::kMaxLineBytes) {
      end(Error{ErrorCode::DataCorrupt,
                fmt::format("a line on {} is longer than {} bytes",
                            path_.toStdString(),
                            protocol::kMaxLineBytes),
                "Restart the engine; if it happens again, report it."});
      return;
    }
  }
  flushLog();
}

void ControlClient::readLine(std::string_view line) {
  if (line.size() + 1 > protocol::kMaxLineBytes) {
    end(Error{ErrorCode::DataCorrupt,
              fmt::format("a line of {} bytes on {} is longer than {}",
                          line.size() + 1,
                          path_.toStdString(),
                          protocol::kMaxLineBytes),
              "Restart the engine; if it happens again, report it."});
    return;
  }
  const Result<std::optional<protocol::ControlMessage>> message = protocol::decodeMessage(line);
  if (!message) {
    end(message.error().within(fmt::format("control socket {}", path_.toStdString())));
  } else if (message->has_value()) {
    take(**message);
  }
}

void ControlClient::take(const protocol::ControlMessage& message) {
  if (message.re) {
    takeReply(*message.re, message.body);
  } else {
    takeEvent(message.body);
  }
}

void ControlClient::takeReply(std::int64_t id, const protocol::MessageBody& body) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) {
    return;
  }
  const Asked asked = found->second;
  waiting_.erase(found);
  if (waiting_.empty()) {
    reply_.stop();
  } else {
    reply_.start();
  }
  if (const auto* refusal = std::get_if<protocol::Refusal>(&body)) {
    if (asked == Asked::Hello || asked == Asked::Subscribe) {
      end(refusal->error);
    } else {
      emit refused(refusal->error);
    }
  } else if (const auto* hello = std::get_if<protocol::Hello>(&body);
             hello != nullptr && asked == Asked::Hello) {
    hello_ = *hello;
    ask(Asked::Subscribe, protocol::SubscribeRequest{topics_});
  } else if (std::holds_alternative<protocol::Subscribed>(body) && asked == Asked::Subscribe &&
             hello_) {
    open_ = true;
    emit opened(*hello_);
  } else if (const auto* status = std::get_if<protocol::Status>(&body);
             status != nullptr && asked == Asked::Status) {
    emit statusArrived(*status);
  } else if (std::holds_alternative<protocol::Stopping>(body) && asked == Asked::Stop) {
    emit stopping();
  } else {
    end(Error{
        ErrorCode::DataCorrupt,
        fmt::format("request {} on {} got the answer of another one", id, path_.toStdString()),
        "Restart the engine; if it happens again, report it."});
  }
}

void ControlClient::takeEvent(const protocol::MessageBody& body) {
  if (const auto* record = std::get_if<LogRecord>(&body)) {
    records_.push_back(*record);
  } else if (const auto* phase = std::get_if<api::PhaseEvent>(&body)) {
    emit phaseArrived(*phase);
  } else if (const auto* stats = std::get_if<api::EngineStats>(&body)) {
    emit statsArrived(*stats);
  } else if (const auto* state = std::get_if<api::StateEvent>(&body)) {
    emit stateArrived(*state);
  }
}

void ControlClient::flushLog() {
  if (!records_.empty()) {
    emit logArrived(std::exchange(records_, {}));
  }
}

void ControlClient::end(const Error& why) {
  if (!socket_) {
    return;
  }
  flushLog();
  close();
  emit closed(why);
}

}  // namespace tandem::app
