// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a request as JSON.
#include "app/chat/chat_message.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

namespace tandem::app {

namespace {

QString nameOf(ChatRole role) {
  switch (role) {
    case ChatRole::User:
      return QStringLiteral("user");
    case ChatRole::Assistant:
      return QStringLiteral("assistant");
    case ChatRole::Tool:
      return QStringLiteral("tool");
  }
  return {};
}

QJsonObject callJson(const ToolCall& call) {
  return {{QStringLiteral("id"), call.id},
          {QStringLiteral("type"), QStringLiteral("function")},
          {QStringLiteral("function"),
           QJsonObject{{QStringLiteral("name"), call.name},
                       {QStringLiteral("arguments"), call.arguments}}}};
}

QJsonObject messageJson(const ChatMessage& message) {
  QJsonObject json{{QStringLiteral("role"), nameOf(message.role)},
                   {QStringLiteral("content"), message.content}};
  if (!message.reasoning.isEmpty()) {
    json[QStringLiteral("reasoning_content")] = message.reasoning;
  }
  if (!message.calls.empty()) {
    QJsonArray calls;
    for (const ToolCall& call : message.calls) {
      calls.append(callJson(call));
    }
    json[QStringLiteral("tool_calls")] = calls;
  }
  if (message.role == ChatRole::Tool) {
    json[QStringLiteral("tool_call_id")] = message.callId;
  }
  return json;
}

}  // namespace

QByteArray requestBody(const ChatRequest& request) {
  QJsonArray messages;
  for (const ChatMessage& message : request.messages) {
    messages.append(messageJson(message));
  }
  QJsonObject json{
      {QStringLiteral("messages"), messages},
      {QStringLiteral("stream"), true},
      {QStringLiteral("stream_options"), QJsonObject{{QStringLiteral("include_usage"), true}}},
      {QStringLiteral("timings_per_token"), true},
      {QStringLiteral("thinking"),
       QJsonObject{{QStringLiteral("type"),
                    request.thinking ? QStringLiteral("enabled") : QStringLiteral("disabled")}}}};
  if (!request.model.isEmpty()) {
    json[QStringLiteral("model")] = request.model;
  }
  if (request.temperature) {
    json[QStringLiteral("temperature")] = *request.temperature;
  }
  QByteArray body = QJsonDocument(json).toJson(QJsonDocument::Compact);
  if (!request.tools.empty()) {
    // QJsonObject sorts keys, so the tools go in as text.
    body.chop(1);
    body += R"(,"tools":[)";
    for (const QByteArray& tool : request.tools) {
      body += tool;
      body += ',';
    }
    body.chop(1);
    body += "]}";
  }
  return body;
}

}  // namespace tandem::app
