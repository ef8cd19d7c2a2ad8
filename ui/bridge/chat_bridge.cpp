// SPDX-License-Identifier: GPL-3.0-or-later
// Connects ChatViewModel and ChatSession.
#include "ui/bridge/chat_bridge.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "app/chat/weather_tool.h"
#include "ui/bridge/chat_words.h"
#include "ui/pages/chat/chat_view_model.h"

namespace tandem::ui {

namespace {

constexpr std::chrono::seconds kClockInterval{1};

}  // namespace

ChatBridge::ChatBridge(ChatViewModel& chat, QObject* parent)
    : QObject(parent),
      chat_(chat),
      session_(app::ToolRegistry({app::demoWeatherTool()})) {
  connect(&chat_, &ChatViewModel::sendRequested, &session_, &app::ChatSession::send);
  connect(&chat_, &ChatViewModel::stopRequested, &session_, &app::ChatSession::stop);
  connect(&chat_, &ChatViewModel::regenerateRequested, &session_, &app::ChatSession::regenerate);
  connect(&chat_, &ChatViewModel::newChatRequested, &session_, &app::ChatSession::clear);
  connect(&chat_,
          &ChatViewModel::resultsRequested,
          this,
          [this](const std::vector<ToolResult>& results) {
            std::vector<app::ToolResult> sent;
            std::transform(results.begin(),
                           results.end(),
                           std::back_inserter(sent),
                           [](const ToolResult& result) {
                             return app::ToolResult{result.callId, result.content};
                           });
            session_.sendResults(sent);
          });
  connect(&chat_, &ChatViewModel::optionsChanged, this, &ChatBridge::readOptions);
  connect(&session_, &app::ChatSession::turnChanged, this, &ChatBridge::show);
  connect(&session_, &app::ChatSession::truncated, this, [this](int count) {
    clock_.stop();
    chat_.truncate(count);
  });
  clock_.setInterval(kClockInterval);
  connect(&clock_, &QTimer::timeout, this, [this] {
    show(static_cast<int>(session_.turns().size()) - 1);
  });
  readOptions();
  clearEndpoint(tr("The engine is not running."));
}

void ChatBridge::setEndpoint(const QUrl& base, const QByteArray& apiKey) {
  const app::Endpoint endpoint{base, apiKey};
  if (endpoint_ == endpoint) {
    return;
  }
  endpoint_ = endpoint;
  session_.setEndpoint(endpoint);
  chat_.setAvailable(false, tr("Asking %1 for its model").arg(endpoint.server()));
  finder_ = std::make_unique<app::ModelFinder>(endpoint);
  connect(finder_.get(), &app::ModelFinder::failing, this, [this](const app::HttpProblem& problem) {
    chat_.setAvailable(false, problem.what);
  });
  connect(finder_.get(), &app::ModelFinder::found, this, [this](const QString& model) {
    app::ChatOptions options = session_.options();
    options.model = model;
    session_.setOptions(options);
    chat_.setAvailable(true, tr("Message %1").arg(model));
  });
}

void ChatBridge::clearEndpoint(const QString& reason) {
  endpoint_.reset();
  finder_.reset();
  session_.clearEndpoint(reason);
  chat_.setAvailable(false, reason);
}

void ChatBridge::finishUp(const QString& reason) {
  finder_.reset();
  chat_.setAvailable(false, reason);
}

void ChatBridge::setTemperature(double temperature) {
  app::ChatOptions options = session_.options();
  options.temperature = temperature;
  session_.setOptions(options);
}

void ChatBridge::readOptions() {
  app::ChatOptions options = session_.options();
  options.thinking = chat_.thinking();
  options.offerTools = chat_.weatherTool();
  session_.setOptions(options);
}

void ChatBridge::show(int index) {
  const app::Turn& turn = session_.turns().at(static_cast<std::size_t>(index));
  if (!session_.busy()) {
    clock_.stop();
  } else if (!clock_.isActive()) {
    asked_.start();
    clock_.start();
  }
  const std::chrono::milliseconds elapsed(asked_.isValid() ? asked_.elapsed() : 0);
  chat_.setTurn(index, chatTurnOf(turn, std::chrono::floor<std::chrono::seconds>(elapsed)));
}

}  // namespace tandem::ui
