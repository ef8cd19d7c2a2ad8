// SPDX-License-Identifier: GPL-3.0-or-later
// GET /models, once a second while it fails.
#include "app/chat/model_finder.h"

#include <chrono>
#include <utility>

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

namespace tandem::app {

namespace {

constexpr std::chrono::seconds kPause{1};          // a start of the demo takes about three
constexpr std::chrono::seconds kSilenceLimit{10};  // this answer needs no computing

}  // namespace

ModelFinder::ModelFinder(Endpoint endpoint, QObject* parent)
    : QObject(parent),
      http_(std::move(endpoint)) {
  http_.setSilenceLimit(kSilenceLimit);
  again_.setSingleShot(true);
  again_.setInterval(kPause);
  connect(&again_, &QTimer::timeout, this, &ModelFinder::ask);
  ask();
}

void ModelFinder::ask() {
  body_.clear();
  exchange_ = http_.get(QStringLiteral("/models"));
  connect(exchange_.get(), &HttpExchange::received, this, [this](const QByteArray& bytes) {
    body_ += bytes;
  });
  connect(exchange_.get(), &HttpExchange::finished, this, &ModelFinder::read);
  connect(exchange_.get(), &HttpExchange::failed, this, &ModelFinder::fail);
}

void ModelFinder::read() {
  const QJsonArray models = QJsonDocument::fromJson(body_).object()[u"data"].toArray();
  const QString id = models.isEmpty() ? QString() : models[0].toObject()[u"id"].toString();
  if (id.isEmpty()) {
    const QString server = http_.endpoint().server();
    fail(problemOfContent(tr("%1 lists no model.").arg(server), server));
    return;
  }
  exchange_.reset();
  emit found(id);
}

void ModelFinder::fail(const HttpProblem& problem) {
  exchange_.reset();
  again_.start();
  emit failing(problem);
}

}  // namespace tandem::app
