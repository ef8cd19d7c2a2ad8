// SPDX-License-Identifier: GPL-3.0-or-later
// Reads requests and plays scripts.
#include "tests/support/scripted_http_server.h"

#include <utility>

#include <QHostAddress>
#include <QJsonDocument>
#include <QRegularExpression>
#include <QTcpSocket>
#include <QUrl>

namespace tandem::testing {

ScriptedHttpServer::ScriptedHttpServer() {
  connect(this, &QTcpServer::newConnection, this, &ScriptedHttpServer::accept);
  listen(QHostAddress::LocalHost);
}

QUrl ScriptedHttpServer::base() const {
  return QUrl(QStringLiteral("http://127.0.0.1:%1/v1").arg(serverPort()));
}

void ScriptedHttpServer::accept() {
  while (QTcpSocket* socket = nextPendingConnection()) {
    conversations_[socket] = {};
    connect(socket, &QTcpSocket::readyRead, this, [this, socket] { read(*socket); });
    connect(socket, &QTcpSocket::bytesWritten, this, [this, socket] {
      if (socket->bytesToWrite() == 0) {
        write(*socket);
      }
    });
    connect(socket, &QTcpSocket::disconnected, this, [this, socket] {
      ++clientsGone_;
      conversations_.erase(socket);
      socket->deleteLater();
    });
  }
}

void ScriptedHttpServer::read(QTcpSocket& socket) {
  static const QRegularExpression kLength(QStringLiteral("content-length: *(\\d+)"),
                                          QRegularExpression::CaseInsensitiveOption);
  Conversation& conversation = conversations_[&socket];
  conversation.received += socket.readAll();
  const qsizetype headBytes = conversation.received.indexOf("\r\n\r\n") + 4;
  if (headBytes < 4 || conversation.answering) {
    return;
  }
  const QByteArray head = conversation.received.first(headBytes);
  const auto length = kLength.match(QString::fromLatin1(head)).captured(1).toLongLong();
  if (conversation.received.size() < headBytes + length) {
    return;
  }
  const QByteArray body = conversation.received.sliced(headBytes, length);
  conversation.received.remove(0, headBytes + length);
  requests_.push_back({head, QJsonDocument::fromJson(body).object()});
  if (scripts_.empty()) {
    return;
  }
  conversation.script = std::move(scripts_.front());
  scripts_.pop_front();
  conversation.next = 0;
  conversation.answering = true;
  write(socket);
}

void ScriptedHttpServer::write(QTcpSocket& socket) {
  Conversation& conversation = conversations_[&socket];
  if (!conversation.answering) {
    return;
  }
  if (conversation.next < conversation.script.pieces.size()) {
    socket.write(conversation.script.pieces[conversation.next++]);
    return;
  }
  conversation.answering = false;
  if (conversation.script.ending == Ending::Close) {
    socket.disconnectFromHost();
  }
}

QByteArray streamHead() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
         "Connection: close\r\n\r\n";
}

QByteArray event(const QByteArray& data) {
  return "data: " + data + "\n\n";
}

QByteArray delta(const QByteArray& delta) {
  return event(R"({"choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":null}]})");
}

QByteArray ending(const QByteArray& finishReason) {
  return event(R"({"choices":[{"index":0,"delta":{},"finish_reason":")" + finishReason + "\"}]}") +
         event("[DONE]");
}

QByteArray wholeAnswer(const QByteArray& status,
                       const QByteArray& body,
                       const QByteArray& headers) {
  return "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nContent-Length: " +
         QByteArray::number(body.size()) + "\r\n" + headers + "\r\n" + body;
}

}  // namespace tandem::testing
