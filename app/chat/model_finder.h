// SPDX-License-Identifier: GPL-3.0-or-later
// Asks an endpoint which model it serves, until it answers.
#pragma once

#include <QByteArray>
#include <QObject>
#include <QString>
#include <QTimer>

#include "app/net/http_client.h"

namespace tandem::app {

/// Begins when it is made. Says `failing` after each attempt in vain, then `found` once.
/// Thread   the one that made it
class ModelFinder : public QObject {
  Q_OBJECT

 public:
  explicit ModelFinder(Endpoint endpoint, QObject* parent = nullptr);

 signals:
  void failing(const tandem::app::HttpProblem& problem);
  void found(const QString& model);

 private:
  void ask();
  void read();
  void fail(const HttpProblem& problem);

  HttpClient http_;
  HttpExchangePtr exchange_;
  QByteArray body_;
  QTimer again_;
};

}  // namespace tandem::app
