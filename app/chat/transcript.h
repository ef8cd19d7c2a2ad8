// SPDX-License-Identifier: GPL-3.0-or-later
// A conversation as it happened: what a person said, and every answer with its calls and its end.
#pragma once

#include <variant>
#include <vector>

#include <QString>

#include "app/chat/chat_message.h"
#include "app/chat/completion.h"
#include "app/net/http_problem.h"

namespace tandem::app {

struct UserTurn {
  QString text;

  bool operator==(const UserTurn&) const = default;
};

enum class AnswerState {
  Waiting,   // asked, nothing has come yet
  Thinking,  // reasoning comes
  Writing,   // content or calls come
  Finished,
  Stopped,  // by the person; what came before stays
  Failed,   // see AnswerTurn::problem; what came before stays
};

/// One completion. An answer that calls tools ends here; what the model says to their results is
/// the next turn.
struct AnswerTurn {
  AnswerState state = AnswerState::Waiting;
  Completion completion;
  // Of a finished answer, one for each of completion.calls: proposed until `resultsSent`.
  std::vector<QString> results;
  bool resultsSent = false;
  HttpProblem problem;  // of a failed answer

  [[nodiscard]] bool live() const {
    return state == AnswerState::Waiting || state == AnswerState::Thinking ||
           state == AnswerState::Writing;
  }
  [[nodiscard]] bool awaitsResults() const {
    return state == AnswerState::Finished && !results.empty() && !resultsSent;
  }

  bool operator==(const AnswerTurn&) const = default;
};

using Turn = std::variant<UserTurn, AnswerTurn>;

/// What the server is sent for these turns. Of an answer that did not finish, the text counts and
/// its calls do not: they have no results. An answer without either is left out.
[[nodiscard]] std::vector<ChatMessage> messagesOf(const std::vector<Turn>& turns);

}  // namespace tandem::app
