// SPDX-License-Identifier: GPL-3.0-or-later
// Turns a transcript into the messages of a request.
#include "app/chat/transcript.h"

namespace tandem::app {

namespace {

void append(std::vector<ChatMessage>& messages, const UserTurn& turn) {
  ChatMessage message;
  message.content = turn.text;
  messages.push_back(message);
}

void append(std::vector<ChatMessage>& messages, const AnswerTurn& turn) {
  ChatMessage answer;
  answer.role = ChatRole::Assistant;
  answer.content = turn.completion.content;
  answer.reasoning = turn.completion.reasoning;
  if (turn.resultsSent) {
    answer.calls = turn.completion.calls;
  }
  if (answer.content.isEmpty() && answer.calls.empty()) {
    return;
  }
  messages.push_back(answer);
  for (std::size_t i = 0; i < answer.calls.size(); ++i) {
    ChatMessage result;
    result.role = ChatRole::Tool;
    result.content = turn.results.at(i);
    result.callId = answer.calls[i].id;
    messages.push_back(result);
  }
}

}  // namespace

std::vector<ChatMessage> messagesOf(const std::vector<Turn>& turns) {
  std::vector<ChatMessage> messages;
  for (const Turn& turn : turns) {
    std::visit([&messages](const auto& kind) { append(messages, kind); }, turn);
  }
  return messages;
}

}  // namespace tandem::app
