// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the words.
#include "ui/bridge/chat_words.h"

#include <cmath>

#include <QCoreApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

#include "ui/widgets/quantity.h"

namespace tandem::ui {

namespace {

struct ChatWords {
  Q_DECLARE_TR_FUNCTIONS(tandem::ui::ChatTurn)
};

const QString kSeparator = QStringLiteral(" · ");

TurnStage stageOf(app::AnswerState state) {
  switch (state) {
    case app::AnswerState::Waiting:
      return TurnStage::Waiting;
    case app::AnswerState::Thinking:
      return TurnStage::Thinking;
    case app::AnswerState::Writing:
      return TurnStage::Answering;
    case app::AnswerState::Finished:
      return TurnStage::Finished;
    case app::AnswerState::Stopped:
      return TurnStage::Stopped;
    case app::AnswerState::Failed:
      return TurnStage::Failed;
  }
  return TurnStage::Failed;
}

/// "00:12"
QString clockText(std::chrono::seconds elapsed) {
  return QStringLiteral("%1:%2")
      .arg(elapsed.count() / 60, 2, 10, QLatin1Char('0'))
      .arg(elapsed.count() % 60, 2, 10, QLatin1Char('0'));
}

QString tokensText(std::int64_t tokens) {
  return ChatWords::tr("%1 tokens").arg(countText(tokens));
}

QString progressText(const app::AnswerTurn& answer, std::chrono::seconds sinceAsked) {
  const auto& timings = answer.completion.timings;
  const QString tokens = timings ? kSeparator + tokensText(timings->decodedTokens) : QString();
  switch (answer.state) {
    case app::AnswerState::Waiting:
      return ChatWords::tr("Reading the prompt %1").arg(clockText(sinceAsked));
    case app::AnswerState::Thinking:
      return ChatWords::tr("Thinking %1").arg(clockText(sinceAsked)) + tokens;
    case app::AnswerState::Writing:
      return ChatWords::tr("Answering %1").arg(clockText(sinceAsked)) + tokens;
    case app::AnswerState::Finished:
    case app::AnswerState::Stopped:
    case app::AnswerState::Failed:
      return {};
  }
  return {};
}

QString reasoningText(const app::Completion& completion) {
  QString text =
      completion.thinkingSeconds
          ? ChatWords::tr("Thought for %1").arg(durationText(*completion.thinkingSeconds))
          : ChatWords::tr("Thoughts");
  if (completion.usage) {
    text += kSeparator + tokensText(completion.usage->reasoningTokens);
  }
  return text;
}

QString endText(const app::AnswerTurn& answer) {
  if (answer.state == app::AnswerState::Stopped) {
    return ChatWords::tr("stopped by you");
  }
  if (answer.state == app::AnswerState::Failed) {
    return ChatWords::tr("broken off");
  }
  return answer.completion.finishReason == u"length" ? ChatWords::tr("token limit reached")
                                                     : answer.completion.finishReason;
}

/// "48 in (33 % cached)"
QString promptText(const app::TokenUsage& usage) {
  const QString in = ChatWords::tr("%1 in").arg(countText(usage.promptTokens));
  if (usage.cachedTokens == 0 || usage.promptTokens == 0) {
    return in;
  }
  const double share =
      static_cast<double>(usage.cachedTokens) / static_cast<double>(usage.promptTokens);
  return in + ChatWords::tr(" (%1 % cached)").arg(std::lround(share * 100));
}

QString numbersText(const app::AnswerTurn& answer) {
  const app::Completion& completion = answer.completion;
  QStringList parts;
  if (completion.timings) {
    // Two tokens make the first interval.
    if (completion.timings->decodedTokens > 1) {
      parts << ChatWords::tr("%1 tok/s").arg(rateText(completion.timings->tokensPerSecond));
    }
    parts << ChatWords::tr("first token %1")
                 .arg(durationText(completion.timings->firstTokenSeconds()));
  }
  if (completion.usage) {
    parts << ChatWords::tr("%1 out").arg(countText(completion.usage->completionTokens))
          << promptText(*completion.usage);
  } else if (completion.timings) {
    parts << ChatWords::tr("%1 out").arg(countText(completion.timings->decodedTokens));
  }
  if (!parts.isEmpty()) {
    parts << endText(answer);
  }
  return parts.join(kSeparator);
}

ChatTurn turnOf(const app::UserTurn& user) {
  ChatTurn turn;
  turn.fromUser = true;
  turn.text = user.text;
  return turn;
}

ChatTurn turnOf(const app::AnswerTurn& answer, std::chrono::seconds sinceAsked) {
  const app::Completion& completion = answer.completion;
  ChatTurn turn;
  turn.stage = stageOf(answer.state);
  turn.text = completion.content;
  turn.reasoning = completion.reasoning;
  turn.progress = progressText(answer, sinceAsked);
  if (!completion.reasoning.isEmpty()) {
    turn.reasoningSummary = reasoningText(completion);
  }
  if (!answer.live()) {
    turn.numbers = numbersText(answer);
  }
  for (std::size_t i = 0; i < completion.calls.size(); ++i) {
    const app::ToolCall& call = completion.calls[i];
    const bool hasResult = i < answer.results.size();
    turn.calls.push_back({call.id,
                          call.name,
                          argumentLines(call.arguments),
                          call.arguments,
                          hasResult ? answer.results[i] : QString(),
                          hasResult && answer.resultsSent});
  }
  turn.error = {answer.problem.what, answer.problem.remedy};
  return turn;
}

}  // namespace

ChatTurn chatTurnOf(const app::Turn& turn, std::chrono::seconds sinceAsked) {
  if (const auto* user = std::get_if<app::UserTurn>(&turn)) {
    return turnOf(*user);
  }
  return turnOf(std::get<app::AnswerTurn>(turn), sinceAsked);
}

QString argumentLines(const QString& json) {
  const QJsonDocument document = QJsonDocument::fromJson(json.toUtf8());
  if (!document.isObject()) {
    return json;
  }
  const QJsonObject arguments = document.object();
  QStringList lines;
  for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
    const QJsonValue value = argument.value();
    QString text = value.toString();
    if (!value.isString()) {
      const QByteArray list = QJsonDocument(QJsonArray{value}).toJson(QJsonDocument::Compact);
      text = QString::fromUtf8(list.sliced(1, list.size() - 2));
    }
    lines << argument.key() + QStringLiteral(": ") + text;
  }
  return lines.join(QLatin1Char('\n'));
}

}  // namespace tandem::ui
