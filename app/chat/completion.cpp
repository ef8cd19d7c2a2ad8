// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the chunks of a chat completion.
#include "app/chat/completion.h"

#include <utility>

#include <QCoreApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

namespace tandem::app {

namespace {

// Far above what a model calls at once; a larger index is a broken stream, not a larger answer.
constexpr int kMostCalls = 128;

struct CompletionWords {
  Q_DECLARE_TR_FUNCTIONS(tandem::app::Completion)
};

std::int64_t countIn(const QJsonObject& object, const QString& key) {
  return object[key].toInteger();
}

double secondsIn(const QJsonObject& object, const QString& key) {
  return object[key].toDouble() / 1000;
}

TokenUsage usageOf(const QJsonObject& usage) {
  return {
      countIn(usage, QStringLiteral("prompt_tokens")),
      countIn(usage[u"prompt_tokens_details"].toObject(), QStringLiteral("cached_tokens")),
      countIn(usage, QStringLiteral("completion_tokens")),
      countIn(usage[u"completion_tokens_details"].toObject(), QStringLiteral("reasoning_tokens"))};
}

QJsonDocument parse(const QByteArray& data) {
  QJsonParseError error;
  QJsonDocument document = QJsonDocument::fromJson(data, &error);
  if (error.error == QJsonParseError::IllegalUTF8String) {
    // A broken character is no reason to lose an answer: show U+FFFD in its place.
    document = QJsonDocument::fromJson(QString::fromUtf8(data).toUtf8());
  }
  return document;
}

}  // namespace

CompletionReader::CompletionReader(QString server)
    : server_(std::move(server)) {}

std::optional<HttpProblem> CompletionReader::read(const SseEvent& event) {
  if (event.data == "[DONE]") {
    return std::nullopt;
  }
  const QJsonDocument document = parse(event.data);
  if (!document.isObject()) {
    return problemOfContent(CompletionWords::tr("%1 sent an event that is not JSON: %2")
                                .arg(server_, QString::fromUtf8(event.data.left(80))),
                            server_);
  }
  const QJsonObject chunk = document.object();
  if (chunk.contains(u"error")) {
    return problemInStream(chunk[u"error"], server_);
  }
  if (chunk[u"usage"].isObject()) {
    completion_.usage = usageOf(chunk[u"usage"].toObject());
  }
  const bool wasThinking = completion_.content.isEmpty() && completion_.calls.empty();
  std::optional<HttpProblem> problem;
  for (const auto& choice : chunk[u"choices"].toArray()) {
    problem = readChoice(choice.toObject());
    if (problem) {
      return problem;
    }
  }
  if (chunk[u"timings"].isObject()) {
    readTimings(chunk[u"timings"].toObject());
  }
  const bool isThinking = completion_.content.isEmpty() && completion_.calls.empty() &&
                          completion_.finishReason.isEmpty();
  if (wasThinking && !isThinking && !completion_.reasoning.isEmpty() && completion_.timings &&
      !completion_.thinkingSeconds) {
    completion_.thinkingSeconds = completion_.timings->decodeSeconds;
  }
  return std::nullopt;
}

void CompletionReader::readTimings(const QJsonObject& timings) {
  completion_.timings = AnswerTimings{secondsIn(timings, QStringLiteral("queued_ms")),
                                      secondsIn(timings, QStringLiteral("prompt_ms")),
                                      secondsIn(timings, QStringLiteral("predicted_ms")),
                                      countIn(timings, QStringLiteral("predicted_n")),
                                      timings[u"predicted_per_second"].toDouble()};
}

std::optional<HttpProblem> CompletionReader::readChoice(const QJsonObject& choice) {
  const QJsonObject delta = choice[u"delta"].toObject();
  completion_.content += delta[u"content"].toString();
  completion_.reasoning += delta[u"reasoning_content"].toString();
  for (const auto& call : delta[u"tool_calls"].toArray()) {
    if (std::optional<HttpProblem> problem = readCall(call.toObject())) {
      return problem;
    }
  }
  if (choice[u"finish_reason"].isString()) {
    completion_.finishReason = choice[u"finish_reason"].toString();
  }
  return std::nullopt;
}

std::optional<HttpProblem> CompletionReader::readCall(const QJsonObject& delta) {
  const int index = delta[u"index"].toInt(-1);
  const int known = static_cast<int>(completion_.calls.size());
  if (index < 0 || index > known || index >= kMostCalls) {
    return problemOfContent(
        CompletionWords::tr("%1 sent a piece of tool call %2, and has begun %3 so far.")
            .arg(server_, QString::number(index), QString::number(known)),
        server_);
  }
  if (index == known) {
    completion_.calls.emplace_back();
  }
  ToolCall& call = completion_.calls[static_cast<std::size_t>(index)];
  const QJsonObject function = delta[u"function"].toObject();
  call.id += delta[u"id"].toString();
  call.name += function[u"name"].toString();
  call.arguments += function[u"arguments"].toString();
  return std::nullopt;
}

}  // namespace tandem::app
