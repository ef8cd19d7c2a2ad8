// SPDX-License-Identifier: GPL-3.0-or-later
// The messages of the control channel: what both ends may say, as values and as JSON lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/api/engine_client.h"
#include "engine/api/engine_stats.h"
#include "engine/api/event_sink.h"
#include "engine/api/phase_event.h"
#include "engine/base/log.h"
#include "engine/base/result.h"

namespace tandem::protocol {

/// PROTOCOL.md says what changes it. A line of another version is refused.
inline constexpr int kControlVersion = 1;

/// One message is one line of at most this many bytes, the newline included.
inline constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

/// What a connection wants to be told from now on. Moves of the engine's state always come along.
struct Topics {
  bool phase = false;  // phases of the start so far, then as they happen
  bool stats = false;  // once a second
  bool log = false;    // kept records with seq > logAfter, then as they are written
  std::uint64_t logAfter = 0;

  friend bool operator==(const Topics&, const Topics&) = default;
};

// What a client may ask. Every request gets one answer with its id: the named reply, or Refusal.

/// "tandem 0.1.0": for the engine's log. Answered by Hello; must be the first request.
struct HelloRequest {
  std::string client;
};

/// Answered by Subscribed, after which the chosen events begin. Replaces an earlier subscription.
struct SubscribeRequest {
  Topics topics;
};

/// Answered by Status.
struct StatusRequest {};

/// Drains and ends the engine, as SIGTERM does. Answered by Stopping at once; the state events and
/// the end of the connection follow.
struct StopRequest {
  std::optional<double> drainSeconds;  // [0, 3600]; none: the engine's default
};

using RequestBody = std::variant<HelloRequest, SubscribeRequest, StatusRequest, StopRequest>;

struct ControlRequest {
  std::int64_t id = 0;
  RequestBody body;
};

// What an engine says: replies, which carry the request's id, and events, which carry none.

/// Who answers. Fields that are not known yet (before the model is loaded) are empty or 0.
struct Hello {
  std::string engine;  // version of the engine, "0.1.0"
  int rank = 0;
  std::int64_t pid = 0;
  api::EngineState state = api::EngineState::Starting;
  std::string endpoint;  // "http://127.0.0.1:8000/v1" once Ready
  api::EngineInfo info;
  std::int64_t startedWallMs = 0;  // process start
  std::uint64_t lastLogSeq = 0;
};

struct Subscribed {};

struct Status {
  api::EngineState state = api::EngineState::Starting;
  std::string endpoint;
  api::EngineInfo info;
  api::EngineStats stats;
};

struct Stopping {};

/// A request could not be carried out.
struct Refusal {
  Error error;
};

using MessageBody = std::variant<Hello,
                                 Subscribed,
                                 Status,
                                 Stopping,
                                 Refusal,
                                 api::StateEvent,
                                 api::PhaseEvent,
                                 api::EngineStats,
                                 LogRecord>;

struct ControlMessage {
  std::optional<std::int64_t> re;  // the request it answers; none for an event
  MessageBody body;
};

/// One line, the newline included. Text that is no UTF-8 is repaired (U+FFFD).
[[nodiscard]] std::string encode(const ControlRequest& request);
[[nodiscard]] std::string encode(const ControlMessage& message);

/// A request that could not be read, with its id where the line had one: enough to answer it.
struct BadRequest {
  std::optional<std::int64_t> id;
  Error error;
};

/// `line` is without its newline. Unknown fields are ignored.
/// Fails    InvalidArgument for what is no JSON object, another version, an unknown type, a missing
///          or wrong field (named with its value), a number out of range
[[nodiscard]] std::variant<ControlRequest, BadRequest> decodeRequest(std::string_view line);

/// Nothing for a type this end does not know: it is to be ignored.
/// Fails    DataCorrupt as above
Result<std::optional<ControlMessage>> decodeMessage(std::string_view line);

}  // namespace tandem::protocol
