// SPDX-License-Identifier: GPL-3.0-or-later
// Sorts what the network says into answer, refusal and failure.
#include "app/net/http_exchange.h"

#include <utility>

#include <QNetworkReply>

namespace tandem::app {

namespace {

// An error message is short; a server that sends more is not read to the end.
constexpr qsizetype kErrorBodyLimit = 64 * 1024;

}  // namespace

HttpExchange::HttpExchange(QNetworkReply* reply, QString server)
    : reply_(reply),
      server_(std::move(server)) {
  connect(reply, &QNetworkReply::readyRead, this, &HttpExchange::read);
  connect(reply, &QNetworkReply::finished, this, &HttpExchange::end);
}

HttpExchange::~HttpExchange() {
  abort();
}

QString HttpExchange::contentType() const {
  const QVariant header = reply_ ? reply_->header(QNetworkRequest::ContentTypeHeader) : QVariant();
  return header.toString().section(QLatin1Char(';'), 0, 0).trimmed().toLower();
}

void HttpExchange::abort() {
  if (reply_) {
    reply_->disconnect(this);
    reply_->abort();
    reply_->deleteLater();
    reply_.clear();
  }
}

int HttpExchange::status() const {
  return reply_->attribute(QNetworkRequest::HttpStatusCodeAttribute).toInt();
}

void HttpExchange::read() {
  if (!reply_->isReadable()) {
    return;  // closed by the time limit
  }
  const QByteArray bytes = reply_->readAll();
  if (status() >= 300) {
    errorBody_.append(bytes.first(std::min(bytes.size(), kErrorBodyLimit - errorBody_.size())));
  } else if (!bytes.isEmpty()) {
    emit received(bytes);
  }
}

void HttpExchange::end() {
  read();
  if (!reply_) {
    return;  // dropped by who received the last bytes
  }
  // From here on the exchange may be dropped by any signal.
  const QPointer<QNetworkReply> reply = std::exchange(reply_, nullptr);
  reply->deleteLater();
  const int answered = reply->attribute(QNetworkRequest::HttpStatusCodeAttribute).toInt();
  if (answered >= 300) {
    emit failed(problemOfAnswer(answered, errorBody_, reply->rawHeader("Retry-After"), server_));
  } else if (reply->error() != QNetworkReply::NoError) {
    emit failed(problemOfNetwork(reply->error(), reply->errorString(), server_, answered != 0));
  } else {
    emit finished();
  }
}

void DropExchange::operator()(HttpExchange* exchange) const {
  exchange->disconnect();
  exchange->abort();
  exchange->deleteLater();
}

}  // namespace tandem::app
