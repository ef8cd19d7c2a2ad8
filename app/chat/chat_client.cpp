// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes to events to a completion.
#include "app/chat/chat_client.h"

namespace tandem::app {

namespace {

// One event holds one piece of an answer. What is longer would only fill the memory.
constexpr qsizetype kEventLimitBytes = 16 * 1024 * 1024;

}  // namespace

ChatClient::ChatClient(HttpClient& http, QObject* parent)
    : QObject(parent),
      http_(http),
      reader_(http.endpoint().server()) {}

void ChatClient::start(const ChatRequest& request) {
  cancel();
  events_ = {};
  reader_ = CompletionReader(http_.endpoint().server());
  exchange_ = http_.postForStream(QStringLiteral("/chat/completions"), requestBody(request));
  connect(exchange_.get(), &HttpExchange::received, this, &ChatClient::receive);
  connect(exchange_.get(), &HttpExchange::finished, this, &ChatClient::end);
  connect(exchange_.get(), &HttpExchange::failed, this, &ChatClient::fail);
}

void ChatClient::cancel() {
  exchange_.reset();
}

void ChatClient::receive(const QByteArray& bytes) {
  const QString server = http_.endpoint().server();
  if (const QString type = exchange_->contentType(); type != u"text/event-stream") {
    fail(problemOfContent(
        type.isEmpty() ? tr("%1 answered without saying in what form.").arg(server)
                       : tr("%1 answered with %2 instead of a stream of events.").arg(server, type),
        server));
    return;
  }
  for (const SseEvent& event : events_.feed(bytes)) {
    if (const std::optional<HttpProblem> problem = reader_.read(event)) {
      fail(*problem);
      return;
    }
  }
  if (events_.pendingBytes() > kEventLimitBytes) {
    fail(problemOfContent(
        tr("%1 sent an event of more than %2 MiB.").arg(server).arg(kEventLimitBytes >> 20),
        server));
    return;
  }
  emit progressed();
}

void ChatClient::end() {
  if (completion().finishReason.isEmpty()) {
    fail(problemOfNetwork(QNetworkReply::RemoteHostClosedError,
                          {},
                          http_.endpoint().server(),
                          true));
    return;
  }
  exchange_.reset();
  emit finished();
}

void ChatClient::fail(const HttpProblem& problem) {
  exchange_.reset();
  emit failed(problem);
}

}  // namespace tandem::app
