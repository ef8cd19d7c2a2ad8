// SPDX-License-Identifier: GPL-3.0-or-later
// An answer that is made while its client waits: a stream of events, or one late response.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "engine/server/http_message.h"

namespace tandem::server {

/// Drives one generation for one client. Made on a front thread, then used on the io thread only.
/// Destroying it before it is done cancels the generation: that is how a lost client frees the
/// engine.
class LiveAnswer {
 public:
  /// What there is to send now. A stream gives bytes again and again, the last time with `done`;
  /// any other answer gives nothing until it gives `response`.
  struct Step {
    std::string bytes;
    std::optional<HttpResponse> response;
    bool done = false;
    bool more = false;  // call again without waiting, but let others have a turn
  };

  virtual ~LiveAnswer() = default;

  /// True: send status 200 and the event-stream head at once, then the bytes.
  [[nodiscard]] virtual bool streams() const = 0;

  /// Polls readable when advance() has something. Owned by the answer.
  [[nodiscard]] virtual int readyFd() const = 0;

  /// Never blocks, and does little at a time.
  virtual Step advance() = 0;

  /// One line for the access log, about what was generated so far.
  [[nodiscard]] virtual std::string summary() const = 0;

  /// The request's id in logs and in the engine.
  [[nodiscard]] virtual const std::string& id() const = 0;
};

/// What a handler gives back: all of it, or something to drive.
using Answer = std::variant<HttpResponse, std::unique_ptr<LiveAnswer>>;

}  // namespace tandem::server
