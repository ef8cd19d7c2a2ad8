// SPDX-License-Identifier: GPL-3.0-or-later
// One streaming chat completion at a time, as any client of /v1 would ask for it.
#pragma once

#include <memory>

#include <QObject>

#include "app/chat/chat_message.h"
#include "app/chat/completion.h"
#include "app/net/http_client.h"
#include "app/net/sse_parser.h"

namespace tandem::app {

/// After start(): any number of `progressed`, then exactly one of `finished` and `failed`.
/// Thread   the one that made it
class ChatClient : public QObject {
  Q_OBJECT

 public:
  explicit ChatClient(HttpClient& http, QObject* parent = nullptr);

  /// Drops a completion that is still running.
  void start(const ChatRequest& request);
  /// Closes the connection, which ends the work on the server. Nothing is said any more.
  void cancel();
  [[nodiscard]] bool active() const { return exchange_ != nullptr; }

  /// The answer so far; stays after the end until the next start().
  [[nodiscard]] const Completion& completion() const { return reader_.completion(); }

 signals:
  /// Once for all events that came together.
  void progressed();
  void finished();
  /// completion() keeps what came before.
  void failed(const tandem::app::HttpProblem& problem);

 private:
  void receive(const QByteArray& bytes);
  void end();
  void fail(const HttpProblem& problem);

  HttpClient& http_;
  HttpExchangePtr exchange_;
  SseParser events_;
  CompletionReader reader_;
};

}  // namespace tandem::app
