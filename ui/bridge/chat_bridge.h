// SPDX-License-Identifier: GPL-3.0-or-later
// Lets the Chat page talk to a model: requests to the session, its turns back to the page.
#pragma once

#include <memory>
#include <optional>

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>

#include "app/chat/chat_session.h"
#include "app/chat/model_finder.h"
#include "app/net/endpoint.h"

namespace tandem::ui {

class ChatViewModel;

/// GUI thread.
class ChatBridge : public QObject {
  Q_OBJECT

 public:
  /// Until setEndpoint() the page says that there is nobody to talk to.
  explicit ChatBridge(ChatViewModel& chat, QObject* parent = nullptr);

  /// The page opens once the server at `base` ("http://127.0.0.1:8000/v1") says which model it
  /// serves. Calling it again with the same values changes nothing.
  void setEndpoint(const QUrl& base, const QByteArray& apiKey = {});
  /// Closes the page. `reason` is a sentence: it stands in the message field, and a live answer
  /// ends with it.
  void clearEndpoint(const QString& reason);
  /// A live answer goes on, but nothing new can be asked. `reason` stands in the message field.
  void finishUp(const QString& reason);
  /// 0 is greedy. Without it the server's default holds.
  void setTemperature(double temperature);

 private:
  void readOptions();
  void show(int index);

  ChatViewModel& chat_;
  app::ChatSession session_;
  std::optional<app::Endpoint> endpoint_;
  std::unique_ptr<app::ModelFinder> finder_;
  QElapsedTimer asked_;  // for the clock beside a live answer only
  QTimer clock_;
};

}  // namespace tandem::ui
