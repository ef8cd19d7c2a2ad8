// SPDX-License-Identifier: GPL-3.0-or-later
// One answer of the model, as far as it has come, and the reader that puts it together.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <QString>

#include "app/chat/chat_message.h"
#include "app/net/http_problem.h"
#include "app/net/sse_parser.h"

namespace tandem::app {

/// The engine's count, at the end of an answer.
struct TokenUsage {
  std::int64_t promptTokens = 0;
  std::int64_t cachedTokens = 0;  // of promptTokens
  std::int64_t completionTokens = 0;
  std::int64_t reasoningTokens = 0;  // of completionTokens

  bool operator==(const TokenUsage&) const = default;
};

/// The engine's clock, with each piece of an answer.
struct AnswerTimings {
  double queuedSeconds = 0;
  double promptSeconds = 0;
  double decodeSeconds = 0;
  std::int64_t decodedTokens = 0;
  double tokensPerSecond = 0;  // of the decode

  [[nodiscard]] double firstTokenSeconds() const { return queuedSeconds + promptSeconds; }

  bool operator==(const AnswerTimings&) const = default;
};

struct Completion {
  QString content;
  QString reasoning;
  std::vector<ToolCall>
      calls;             // by index; the last may be incomplete until there is a finishReason
  QString finishReason;  // "stop", "length", "tool_calls", or "" before the end
  std::optional<TokenUsage> usage;
  std::optional<AnswerTimings> timings;
  std::optional<double> thinkingSeconds;  // of decode, once the reasoning has ended

  bool operator==(const Completion&) const = default;
};

/// Adds the events of one stream to a Completion.
class CompletionReader {
 public:
  /// `server` is for the words of a problem.
  explicit CompletionReader(QString server);

  /// Fails when the server reports an error, or sends what is no chunk of a chat completion. What
  /// came before stays in completion().
  [[nodiscard]] std::optional<HttpProblem> read(const SseEvent& event);

  [[nodiscard]] const Completion& completion() const { return completion_; }

 private:
  void readTimings(const QJsonObject& timings);
  [[nodiscard]] std::optional<HttpProblem> readChoice(const QJsonObject& choice);
  [[nodiscard]] std::optional<HttpProblem> readCall(const QJsonObject& delta);

  QString server_;
  Completion completion_;
};

}  // namespace tandem::app
