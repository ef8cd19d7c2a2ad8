// SPDX-License-Identifier: GPL-3.0-or-later
// Sends JSON requests to one endpoint.
#pragma once

#include <chrono>

#include <QNetworkAccessManager>

#include "app/net/endpoint.h"
#include "app/net/http_exchange.h"

namespace tandem::app {

/// Straight to the endpoint: no proxy, and no redirect, which would carry the key elsewhere.
/// Thread   the one that made it
class HttpClient {
 public:
  explicit HttpClient(Endpoint endpoint);

  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  /// How long a server may say nothing. Ours sends a comment every 5 s while it computes.
  void setSilenceLimit(std::chrono::milliseconds limit) { silenceLimit_ = limit; }

  /// `path` below the endpoint's base, e.g. "/models".
  [[nodiscard]] HttpExchangePtr get(const QString& path);
  /// Posts a JSON body and accepts a stream of events.
  [[nodiscard]] HttpExchangePtr postForStream(const QString& path, const QByteArray& json);

 private:
  [[nodiscard]] QNetworkRequest requestFor(const QString& path) const;

  Endpoint endpoint_;
  std::chrono::milliseconds silenceLimit_{std::chrono::seconds(60)};
  QNetworkAccessManager network_;
};

}  // namespace tandem::app
