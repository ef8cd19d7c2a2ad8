// SPDX-License-Identifier: GPL-3.0-or-later
// An HTTP server that answers with bytes written by a test, in pieces, as badly as wanted.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include <QByteArray>
#include <QJsonObject>
#include <QTcpServer>

class QTcpSocket;

namespace tandem::testing {

/// Listens on a free loopback port. Answers requests in the order of the scripts; a request without
/// a script stays unanswered. Works in the event loop of the test.
class ScriptedHttpServer : public QTcpServer {
  Q_OBJECT

 public:
  enum class Ending {
    KeepOpen,  // waits for the client to go
    Close,     // whatever the pieces have promised
  };
  struct Script {
    std::vector<QByteArray> pieces;  // each is sent when the one before has left
    Ending ending = Ending::Close;
  };
  struct Request {
    QByteArray head;
    QJsonObject body;
  };

  ScriptedHttpServer();

  void answer(Script script) { scripts_.push_back(std::move(script)); }
  [[nodiscard]] QUrl base() const;  // "http://127.0.0.1:PORT/v1"
  [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }
  [[nodiscard]] int clientsGone() const { return clientsGone_; }

 private:
  struct Conversation {
    QByteArray received;
    Script script;
    std::size_t next = 0;
    bool answering = false;
  };

  void accept();
  void read(QTcpSocket& socket);
  void write(QTcpSocket& socket);

  std::deque<Script> scripts_;
  std::vector<Request> requests_;
  std::map<QTcpSocket*, Conversation> conversations_;
  int clientsGone_ = 0;
};

/// The head of a stream whose end is the connection's.
[[nodiscard]] QByteArray streamHead();
/// "data: …\n\n"
[[nodiscard]] QByteArray event(const QByteArray& data);
/// A chunk whose choice has this delta: {"content": "Hello"}
[[nodiscard]] QByteArray delta(const QByteArray& delta);
/// The chunk with the finish reason, and [DONE].
[[nodiscard]] QByteArray ending(const QByteArray& finishReason);
/// A whole answer that is not a stream.
[[nodiscard]] QByteArray wholeAnswer(const QByteArray& status,
                                     const QByteArray& body,
                                     const QByteArray& headers = {});

}  // namespace tandem::testing
