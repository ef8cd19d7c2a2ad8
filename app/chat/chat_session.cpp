// SPDX-License-Identifier: GPL-3.0-or-later
// Moves the conversation from state to state.
#include "app/chat/chat_session.h"

#include <algorithm>
#include <utility>

namespace tandem::app {

ChatSession::ChatSession(ToolRegistry tools, QObject* parent)
    : QObject(parent),
      tools_(std::move(tools)),
      whyNoEndpoint_(tr("The engine is not running.")) {}

ChatSession::~ChatSession() = default;

void ChatSession::setEndpoint(const Endpoint& endpoint) {
  if (http_ && http_->endpoint() == endpoint) {
    return;
  }
  endLiveAnswer(tr("The engine's address changed while it answered."));
  client_.reset();
  http_ = std::make_unique<HttpClient>(endpoint);
  client_ = std::make_unique<ChatClient>(*http_);
  connect(client_.get(), &ChatClient::progressed, this, &ChatSession::update);
  connect(client_.get(), &ChatClient::finished, this, &ChatSession::finish);
  connect(client_.get(), &ChatClient::failed, this, &ChatSession::fail);
}

void ChatSession::clearEndpoint(const QString& reason) {
  whyNoEndpoint_ = reason;
  endLiveAnswer(reason);
  client_.reset();
  http_.reset();
}

bool ChatSession::busy() const {
  const auto* answer = turns_.empty() ? nullptr : std::get_if<AnswerTurn>(&turns_.back());
  return answer != nullptr && answer->live();
}

void ChatSession::send(const QString& text) {
  if (busy()) {
    return;
  }
  declineCalls();
  turns_.emplace_back(UserTurn{text});
  changed();
  rounds_ = 0;
  ask();
}

void ChatSession::sendResults(const std::vector<ToolResult>& results) {
  AnswerTurn* answer = lastAnswer();
  if (answer == nullptr || !answer->awaitsResults()) {
    return;
  }
  for (std::size_t i = 0; i < answer->results.size(); ++i) {
    const QString& id = answer->completion.calls[i].id;
    const auto given =
        std::find_if(results.begin(), results.end(), [&id](const ToolResult& result) {
          return result.callId == id;
        });
    if (given != results.end()) {
      answer->results[i] = given->content;
    }
  }
  answer->resultsSent = true;
  changed();
  ask();
}

void ChatSession::regenerate() {
  if (lastAnswer() == nullptr) {
    return;
  }
  stop();
  turns_.pop_back();
  emit truncated(static_cast<int>(turns_.size()));
  ask();
}

void ChatSession::stop() {
  if (!busy()) {
    return;
  }
  client_->cancel();
  lastAnswer()->state = AnswerState::Stopped;
  changed();
}

void ChatSession::clear() {
  if (client_) {
    client_->cancel();
  }
  turns_.clear();
  emit truncated(0);
}

AnswerTurn* ChatSession::lastAnswer() {
  return turns_.empty() ? nullptr : std::get_if<AnswerTurn>(&turns_.back());
}

void ChatSession::ask() {
  ChatRequest request;
  request.model = options_.model;
  request.messages = messagesOf(turns_);
  request.thinking = options_.thinking;
  request.temperature = options_.temperature;
  if (options_.offerTools) {
    request.tools = tools_.definitions();
  }
  turns_.emplace_back(AnswerTurn{});
  changed();
  if (!client_) {
    endLiveAnswer(whyNoEndpoint_);
    return;
  }
  client_->start(request);
}

void ChatSession::update() {
  AnswerTurn& answer = *lastAnswer();
  answer.completion = client_->completion();
  if (!answer.completion.content.isEmpty() || !answer.completion.calls.empty()) {
    answer.state = AnswerState::Writing;
  } else if (!answer.completion.reasoning.isEmpty()) {
    answer.state = AnswerState::Thinking;
  }
  changed();
}

void ChatSession::finish() {
  AnswerTurn& answer = *lastAnswer();
  answer.completion = client_->completion();
  answer.state = AnswerState::Finished;
  for (const ToolCall& call : answer.completion.calls) {
    answer.results.push_back(tools_.run(call));
  }
  if (answer.results.empty() || options_.approval == ToolApproval::Ask) {
    changed();
    return;
  }
  if (rounds_ == options_.mostRounds) {
    HttpProblem problem;
    problem.what = tr("The model asked for tools %1 times in a row.").arg(rounds_ + 1);
    problem.remedy = tr("Its calls were not run. Ask in other words, or without the tools.");
    fail(problem);
    return;
  }
  ++rounds_;
  sendResults({});
}

void ChatSession::fail(const HttpProblem& problem) {
  AnswerTurn& answer = *lastAnswer();
  answer.completion = client_->completion();
  answer.state = AnswerState::Failed;
  answer.problem = problem;
  changed();
}

void ChatSession::endLiveAnswer(const QString& reason) {
  if (!busy()) {
    return;
  }
  if (client_) {
    client_->cancel();
  }
  AnswerTurn& answer = *lastAnswer();
  answer.state = AnswerState::Failed;
  answer.problem.what = reason;
  answer.problem.remedy = answer.completion == Completion{}
                              ? tr("Start the engine, then retry.")
                              : tr("The text so far is kept. Start the engine, then retry.");
  changed();
}

void ChatSession::declineCalls() {
  AnswerTurn* answer = lastAnswer();
  if (answer == nullptr || !answer->awaitsResults()) {
    return;
  }
  std::fill(answer->results.begin(),
            answer->results.end(),
            toolError(QStringLiteral("the person did not run this call")));
  answer->resultsSent = true;
  changed();
}

void ChatSession::changed() {
  emit turnChanged(static_cast<int>(turns_.size()) - 1);
}

}  // namespace tandem::app
