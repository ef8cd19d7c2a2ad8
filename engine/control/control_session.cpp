// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/control/control_session.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

namespace tandem::control {

namespace {

constexpr std::size_t kBatch = 256;
constexpr std::size_t kShownClientBytes = 80;

/// A client's name for itself as one harmless piece of a log line.
std::string harmless(std::string name) {
  name.resize(std::min(name.size(), kShownClientBytes));
  std::replace_if(
      name.begin(),
      name.end(),
      [](char symbol) { return symbol < ' ' || symbol > '~'; },
      '?');
  return name;
}

}  // namespace

/// One reply for each kind of request.
struct ControlSession::Answer {
  ControlSession& session;

  protocol::MessageBody operator()(const protocol::HelloRequest& request) const {
    if (!session.greeted_) {
      session.who_ = fmt::format("{} ({})", harmless(request.client), session.who_);
    }
    session.greeted_ = true;
    protocol::Hello hello = session.board_.hello(session.position_.state);
    hello.lastLogSeq = session.logger_.lastSeq();
    return hello;
  }
  protocol::MessageBody operator()(const protocol::SubscribeRequest& request) const {
    session.topics_ = request.topics;
    session.position_.phase = 0;
    session.lastRecord_ = request.topics.logAfter;
    session.recordsBegun_ = false;
    session.statsDue_ = request.topics.stats;
    session.lastStats_.reset();
    return protocol::Subscribed{};
  }
  protocol::MessageBody operator()(const protocol::StatusRequest& /*request*/) const {
    return session.board_.status();
  }
  protocol::MessageBody operator()(const protocol::StopRequest& request) const {
    session.stop_(session.who_, request.drainSeconds);
    return protocol::Stopping{};
  }
};

ControlSession::ControlSession(std::string who,
                               const EngineBoard& board,
                               const Logger& logger,
                               const StopHandler& stop)
    : who_(std::move(who)),
      board_(board),
      logger_(logger),
      stop_(stop) {}

std::string ControlSession::answer(std::string_view line) {
  const std::variant<protocol::ControlRequest, protocol::BadRequest> read =
      protocol::decodeRequest(line);
  if (const auto* bad = std::get_if<protocol::BadRequest>(&read)) {
    return protocol::encode(protocol::ControlMessage{bad->id, protocol::Refusal{bad->error}});
  }
  const auto& request = std::get<protocol::ControlRequest>(read);
  if (!greeted_ && !std::holds_alternative<protocol::HelloRequest>(request.body)) {
    return protocol::encode(protocol::ControlMessage{
        request.id,
        protocol::Refusal{
            Error{ErrorCode::InvalidArgument,
                  "the first request of a connection is hello",
                  "Send {\"v\":1,\"id\":1,\"type\":\"hello\",\"client\":\"NAME\"}."}}});
  }
  return protocol::encode(
      protocol::ControlMessage{request.id, std::visit(Answer{*this}, request.body)});
}

std::string ControlSession::nextEvents() {
  if (!greeted_) {
    return {};
  }
  std::string lines = nextHistory();
  if (lines.empty() && statsDue_) {
    statsDue_ = false;
    lines = nextStats();
  }
  return lines.empty() && topics_.log ? nextRecords() : lines;
}

std::string ControlSession::nextHistory() {
  std::string lines;
  for (NumberedEvent& next : board_.eventsAfter(position_, topics_.phase, kBatch)) {
    if (auto* phase = std::get_if<api::PhaseEvent>(&next.event)) {
      position_.phase = next.number;
      lines += protocol::encode(protocol::ControlMessage{{}, std::move(*phase)});
    } else {
      position_.state = next.number;
      lines += protocol::encode(
          protocol::ControlMessage{{}, std::get<api::StateEvent>(std::move(next.event))});
    }
  }
  return lines;
}

std::string ControlSession::nextStats() {
  std::shared_ptr<const api::EngineStats> stats = board_.stats();
  if (stats == lastStats_) {
    return {};
  }
  lastStats_ = std::move(stats);
  return protocol::encode(protocol::ControlMessage{{}, *lastStats_});
}

std::string ControlSession::nextRecords() {
  std::string lines;
  for (LogRecord& record : logger_.recordsAfter(lastRecord_, kBatch)) {
    if (recordsBegun_ && record.seq != lastRecord_ + 1) {
      lostRecords_ = true;
      return {};
    }
    lastRecord_ = record.seq;
    recordsBegun_ = true;
    lines += protocol::encode(protocol::ControlMessage{{}, std::move(record)});
  }
  return lines;
}

}  // namespace tandem::control
