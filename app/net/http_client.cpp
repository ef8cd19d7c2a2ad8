// SPDX-License-Identifier: GPL-3.0-or-later
// Builds the requests.
#include "app/net/http_client.h"

#include <utility>

#include <QNetworkProxy>
#include <QNetworkReply>
#include <QNetworkRequest>

namespace tandem::app {

HttpClient::HttpClient(Endpoint endpoint)
    : endpoint_(std::move(endpoint)) {
  // The engine is on this machine or on the desk; a proxy of the desktop's settings is not the way.
  network_.setProxy(QNetworkProxy(QNetworkProxy::NoProxy));
  network_.setRedirectPolicy(QNetworkRequest::ManualRedirectPolicy);
}

HttpExchangePtr HttpClient::get(const QString& path) {
  QNetworkRequest request = requestFor(path);
  request.setRawHeader("Accept", "application/json");
  return HttpExchangePtr(new HttpExchange(network_.get(request), endpoint_.server()));
}

HttpExchangePtr HttpClient::postForStream(const QString& path, const QByteArray& json) {
  QNetworkRequest request = requestFor(path);
  request.setHeader(QNetworkRequest::ContentTypeHeader, QByteArrayLiteral("application/json"));
  request.setRawHeader("Accept", "text/event-stream");
  return HttpExchangePtr(new HttpExchange(network_.post(request, json), endpoint_.server()));
}

QNetworkRequest HttpClient::requestFor(const QString& path) const {
  QNetworkRequest request(endpoint_.resolve(path));
  if (!endpoint_.apiKey.isEmpty()) {
    request.setRawHeader("Authorization", "Bearer " + endpoint_.apiKey);
  }
  request.setTransferTimeout(static_cast<int>(silenceLimit_.count()));
  return request;
}

}  // namespace tandem::app
