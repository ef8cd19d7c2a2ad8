// SPDX-License-Identifier: GPL-3.0-or-later
// One conversation with a model: its turns, and the loop of calls and results.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <QObject>
#include <QString>

#include "app/chat/chat_client.h"
#include "app/chat/tool_registry.h"
#include "app/chat/transcript.h"
#include "app/net/endpoint.h"
#include "app/net/http_client.h"

namespace tandem::app {

/// Who decides that a tool's result goes back to the model.
enum class ToolApproval {
  Ask,        // sendResults() does; results() are proposals
  Automatic,  // the session does, at once
};

/// Read anew with each request.
struct ChatOptions {
  QString model;  // "" lets the server choose
  bool thinking = false;
  bool offerTools = false;
  ToolApproval approval = ToolApproval::Ask;
  int mostRounds = 8;  // of automatic results after one question
  std::optional<double> temperature;
};

/// The result that shall go back for a call, instead of the proposed one.
struct ToolResult {
  QString callId;
  QString content;
};

/// Thread   the one that made it
class ChatSession : public QObject {
  Q_OBJECT
  Q_DISABLE_COPY_MOVE(ChatSession)

 public:
  explicit ChatSession(ToolRegistry tools, QObject* parent = nullptr);
  ~ChatSession() override;

  /// A live answer fails; the next request goes to `endpoint`.
  void setEndpoint(const Endpoint& endpoint);
  /// There is nobody to talk to; `reason` is what a live answer and new ones fail with.
  void clearEndpoint(const QString& reason);
  void setOptions(const ChatOptions& options) { options_ = options; }
  [[nodiscard]] const ChatOptions& options() const { return options_; }

  [[nodiscard]] const std::vector<Turn>& turns() const { return turns_; }
  [[nodiscard]] bool busy() const;

  /// Asks. Ignored while an answer is written. Calls that still wait are answered as not run.
  void send(const QString& text);
  /// Sends the results of the newest answer's calls: those given, the proposed ones for the others.
  void sendResults(const std::vector<ToolResult>& results);
  /// Drops the newest answer and asks again.
  void regenerate();
  /// Ends the live answer; what has come stays.
  void stop();
  /// Begins a new conversation.
  void clear();

 signals:
  /// Turn `index` is new or says more.
  void turnChanged(int index);
  /// There are `count` turns now, and they are the first ones there were.
  void truncated(int count);

 private:
  [[nodiscard]] AnswerTurn* lastAnswer();
  void ask();
  void update();
  void finish();
  void fail(const HttpProblem& problem);
  void endLiveAnswer(const QString& reason);
  void declineCalls();
  void changed();

  ToolRegistry tools_;
  ChatOptions options_;
  QString whyNoEndpoint_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<ChatClient> client_;
  std::vector<Turn> turns_;
  int rounds_ = 0;  // of automatic results since the last question
};

}  // namespace tandem::app
