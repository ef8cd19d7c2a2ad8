// SPDX-License-Identifier: GPL-3.0-or-later
// A conversation as /v1/chat/completions takes it.
#pragma once

#include <optional>
#include <vector>

#include <QByteArray>
#include <QString>

namespace tandem::app {

enum class ChatRole { User, Assistant, Tool };

struct ToolCall {
  QString id;
  QString name;
  QString arguments;  // JSON text, byte for byte as the model wrote it

  bool operator==(const ToolCall&) const = default;
};

struct ChatMessage {
  ChatRole role = ChatRole::User;
  QString content;
  QString reasoning;            // of an assistant
  std::vector<ToolCall> calls;  // of an assistant
  QString callId;               // of a tool: the call it answers

  bool operator==(const ChatMessage&) const = default;
};

struct ChatRequest {
  QString model;  // "" lets the server choose
  std::vector<ChatMessage> messages;
  std::vector<QByteArray>
      tools;  // JSON text of each: the order of a schema's keys reaches the model
  bool thinking = false;
  std::optional<double> temperature;  // none: the server's default
};

/// The JSON body that asks for a stream with usage at its end and timings all along.
[[nodiscard]] QByteArray requestBody(const ChatRequest& request);

}  // namespace tandem::app
