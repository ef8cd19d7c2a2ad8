// SPDX-License-Identifier: GPL-3.0-or-later
// An engine's control socket in this process, whose every line a test writes.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <QByteArray>
#include <QJsonObject>
#include <QLocalServer>
#include <QLocalSocket>
#include <QString>

#include "engine/protocol/control_message.h"

namespace tandem::test {

/// Serves one client at a time. Answers hello and subscribe by itself unless told not to.
class ScriptedControlSocket {
 public:
  explicit ScriptedControlSocket(QString path);

  /// What hello is answered with.
  protocol::Hello hello;
  /// False: requests are only recorded.
  bool answers = true;
  /// Lines that follow an answer to subscribe.
  std::function<QByteArray(const QJsonObject& subscribe)> afterSubscribe;

  bool listen();
  void close();

  [[nodiscard]] bool connected() const { return client_ != nullptr; }
  [[nodiscard]] int connections() const { return connections_; }
  /// In order of arrival, over all connections.
  [[nodiscard]] const std::vector<QJsonObject>& requests() const { return requests_; }
  /// Of this type, the newest, or an empty object.
  [[nodiscard]] QJsonObject request(const QString& type) const;

  void write(const QByteArray& bytes);
  void say(const protocol::MessageBody& event);
  void reply(const QJsonObject& request, const protocol::MessageBody& body);
  void disconnectClient();

 private:
  void accept();
  void read();

  QString path_;
  std::unique_ptr<QLocalServer> server_;
  QLocalSocket* client_ = nullptr;
  QByteArray received_;
  std::vector<QJsonObject> requests_;
  int connections_ = 0;
};

}  // namespace tandem::test
