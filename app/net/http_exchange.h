// SPDX-License-Identifier: GPL-3.0-or-later
// One HTTP request and its answer, which arrives in pieces.
#pragma once

#include <memory>

#include <QByteArray>
#include <QObject>
#include <QPointer>
#include <QString>

#include "app/net/http_problem.h"

class QNetworkReply;

namespace tandem::app {

/// Says any number of `received`, then exactly one of `finished` and `failed`. Bytes of an answer
/// with an error status become part of the problem and are never `received`.
/// Thread   the one that made it
class HttpExchange : public QObject {
  Q_OBJECT
  Q_DISABLE_COPY_MOVE(HttpExchange)

 public:
  /// Takes the reply, which has just been sent.
  HttpExchange(QNetworkReply* reply, QString server);
  ~HttpExchange() override;

  /// Without parameters such as the charset; "" before the head has come.
  [[nodiscard]] QString contentType() const;

  /// Closes the connection. Nothing is said any more.
  void abort();

 signals:
  void received(const QByteArray& bytes);
  void finished();
  void failed(const tandem::app::HttpProblem& problem);

 private:
  void read();
  void end();
  [[nodiscard]] int status() const;

  QPointer<QNetworkReply> reply_;
  QString server_;
  QByteArray errorBody_;
};

/// Aborts, and leaves the memory to the event loop: the owner may be inside one of its signals.
struct DropExchange {
  void operator()(HttpExchange* exchange) const;
};
using HttpExchangePtr = std::unique_ptr<HttpExchange, DropExchange>;

}  // namespace tandem::app
