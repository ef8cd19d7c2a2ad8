// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/launcher/engine_connection.h"

#include <fmt/core.h>

#include <algorithm>

namespace tandem::app {

namespace {

using namespace std::chrono_literals;

// An engine opens its socket some 10 ms after its start.
constexpr std::chrono::milliseconds kFirstPause = 10ms;
constexpr std::chrono::milliseconds kLongestPause = 1s;
// A connection that broke is usually there again before anyone could read of it.
constexpr auto kSlowToOpen = 10s;
constexpr auto kSlowToReturn = 2s;

}  // namespace

EngineConnection::EngineConnection() {
  retry_.setSingleShot(true);
  silence_.setSingleShot(true);
  connect(&retry_, &QTimer::timeout, this, &EngineConnection::tryNow);
  connect(&silence_, &QTimer::timeout, this, &EngineConnection::silenceIsLong);
  connect(&client_, &ControlClient::closed, this, &EngineConnection::closed);
  connect(&client_, &ControlClient::opened, this, [this] {
    pause_ = kFirstPause;
    silence_.stop();
  });
  connect(&client_,
          &ControlClient::logArrived,
          this,
          [this](const std::vector<LogRecord>& records) {
            lastSeq_ = std::max(lastSeq_, records.back().seq);
          });
}

void EngineConnection::open(const QString& socket) {
  close();
  socket_ = socket;
  lastSeq_ = 0;
  pause_ = kFirstPause;
  silence_.start(kSlowToOpen);
  tryNow();
}

void EngineConnection::close() {
  retry_.stop();
  silence_.stop();
  client_.close();
}

void EngineConnection::tryNow() {
  client_.open(socket_, protocol::Topics{true, true, true, lastSeq_});
}

void EngineConnection::closed(const Error& why) {
  const bool understood = why.code == ErrorCode::Unavailable || why.code == ErrorCode::Timeout;
  if (!understood) {
    silence_.stop();
    pause_ = kLongestPause;
  } else if (pause_ == kFirstPause && !silence_.isActive()) {
    silence_.start(kSlowToReturn);
  }
  retry_.start(pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
  if (!understood) {
    emit silent(why);
  }
  emit broken(why);
}

void EngineConnection::silenceIsLong() {
  emit silent(Error{ErrorCode::Timeout,
                    fmt::format("the engine runs, but its control socket {} has not answered for "
                                "{} ms",
                                socket_.toStdString(),
                                silence_.interval()),
                    "Wait, or stop the engine."});
}

}  // namespace tandem::app
