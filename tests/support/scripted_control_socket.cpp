// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/scripted_control_socket.h"

#include <algorithm>
#include <utility>

#include <QJsonDocument>

namespace tandem::test {

ScriptedControlSocket::ScriptedControlSocket(QString path)
    : path_(std::move(path)) {
  hello.engine = "0.1.0";
  hello.pid = 1;
}

bool ScriptedControlSocket::listen() {
  QLocalServer::removeServer(path_);
  server_ = std::make_unique<QLocalServer>();
  QObject::connect(server_.get(), &QLocalServer::newConnection, server_.get(), [this] {
    accept();
  });
  return server_->listen(path_);
}

void ScriptedControlSocket::close() {
  client_ = nullptr;  // goes with the server
  server_.reset();
}

QJsonObject ScriptedControlSocket::request(const QString& type) const {
  const auto found = std::find_if(requests_.rbegin(), requests_.rend(), [&](const auto& request) {
    return request[u"type"].toString() == type;
  });
  return found == requests_.rend() ? QJsonObject() : *found;
}

void ScriptedControlSocket::accept() {
  client_ = server_->nextPendingConnection();
  received_.clear();
  ++connections_;
  QObject::connect(client_, &QLocalSocket::readyRead, server_.get(), [this] { read(); });
  QObject::connect(client_, &QLocalSocket::disconnected, server_.get(), [this, client = client_] {
    if (client_ == client) {
      client_ = nullptr;
    }
  });
}

void ScriptedControlSocket::read() {
  received_ += client_->readAll();
  for (qsizetype newline = received_.indexOf('\n'); newline >= 0;
       newline = received_.indexOf('\n')) {
    const QJsonObject request = QJsonDocument::fromJson(received_.left(newline)).object();
    received_.remove(0, newline + 1);
    requests_.push_back(request);
    const QString type = request[u"type"].toString();
    if (answers && type == u"hello") {
      reply(request, hello);
    } else if (answers && type == u"subscribe") {
      reply(request, protocol::Subscribed{});
      if (afterSubscribe) {
        write(afterSubscribe(request));
      }
    }
  }
}

void ScriptedControlSocket::write(const QByteArray& bytes) {
  if (client_ != nullptr) {
    client_->write(bytes);
    client_->flush();
  }
}

void ScriptedControlSocket::say(const protocol::MessageBody& event) {
  write(QByteArray::fromStdString(protocol::encode(protocol::ControlMessage{{}, event})));
}

void ScriptedControlSocket::reply(const QJsonObject& request, const protocol::MessageBody& body) {
  write(QByteArray::fromStdString(
      protocol::encode(protocol::ControlMessage{request[u"id"].toInteger(), body})));
}

void ScriptedControlSocket::disconnectClient() {
  if (client_ != nullptr) {
    client_->disconnectFromServer();
  }
}

}  // namespace tandem::test
