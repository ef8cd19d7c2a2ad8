// SPDX-License-Identifier: GPL-3.0-or-later
// What an engine says, to and from JSON lines.
#include <fmt/core.h>

#include <array>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/protocol/control_message.h"
#include "engine/protocol/engine_stats_json.h"
#include "engine/protocol/event_json.h"
#include "engine/protocol/json_fields.h"
#include "engine/protocol/wall_time.h"

namespace tandem::protocol {

namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();
constexpr std::int64_t kMostInt64 = std::numeric_limits<std::int64_t>::max();

/// Adds the fields of a body to a message and gives its `type`.
struct AddBody {
  OutJson& json;

  const char* operator()(const Hello& hello) const {
    json["engine"] = cutText(hello.engine, kMaxNameBytes);
    json["rank"] = hello.rank;
    json["pid"] = hello.pid;
    json["state"] = api::engineStateName(hello.state);
    json["endpoint"] = cutText(hello.endpoint, kMaxNameBytes);
    json["info"] = infoJson(hello.info);
    json["started_t"] = wallTimeText(hello.startedWallMs);
    json["last_log_seq"] = hello.lastLogSeq;
    return "hello";
  }
  const char* operator()(const Subscribed& /*subscribed*/) const { return "subscribed"; }
  const char* operator()(const Status& status) const {
    json["state"] = api::engineStateName(status.state);
    json["endpoint"] = cutText(status.endpoint, kMaxNameBytes);
    json["info"] = infoJson(status.info);
    json["stats"] = OutJson::object();
    addStats(json["stats"], status.stats);
    return "status";
  }
  const char* operator()(const Stopping& /*stopping*/) const { return "stopping"; }
  const char* operator()(const Refusal& refusal) const {
    json.update(errorJson(refusal.error));
    return "refused";
  }
  const char* operator()(const api::StateEvent& event) const {
    addState(json, event);
    return "state";
  }
  const char* operator()(const api::PhaseEvent& event) const {
    addPhase(json, event);
    return "phase";
  }
  const char* operator()(const api::EngineStats& stats) const {
    addStats(json, stats);
    return "stats";
  }
  const char* operator()(const LogRecord& record) const {
    addLog(json, record);
    return "log";
  }
};

MessageBody readHello(const FieldReader& fields) {
  Hello hello;
  hello.engine = fields.text("engine");
  hello.rank = fields.smallInteger("rank", 0, kMostInt);
  hello.pid = fields.integer("pid", 0, kMostInt64);
  hello.state = fields.named("state", &api::engineStateFromName, api::EngineState::Starting);
  hello.endpoint = fields.text("endpoint");
  hello.info = readInfo(fields.object("info"));
  hello.startedWallMs = fields.wallTime("started_t");
  hello.lastLogSeq = fields.count("last_log_seq");
  return hello;
}

MessageBody readStatus(const FieldReader& fields) {
  Status status;
  status.state = fields.named("state", &api::engineStateFromName, api::EngineState::Starting);
  status.endpoint = fields.text("endpoint");
  status.info = readInfo(fields.object("info"));
  status.stats = readStats(fields.object("stats"));
  return status;
}

struct MessageReader {
  std::string_view type;
  MessageBody (*read)(const FieldReader& fields);
};

constexpr std::array kReaders{
    MessageReader{"hello", readHello},
    MessageReader{"subscribed",
                  [](const FieldReader& /*fields*/) -> MessageBody { return Subscribed{}; }},
    MessageReader{"status", readStatus},
    MessageReader{"stopping",
                  [](const FieldReader& /*fields*/) -> MessageBody { return Stopping{}; }},
    MessageReader{
        "refused",
        [](const FieldReader& fields) -> MessageBody { return Refusal{readError(fields)}; }},
    MessageReader{"state",
                  [](const FieldReader& fields) -> MessageBody { return readState(fields); }},
    MessageReader{"phase",
                  [](const FieldReader& fields) -> MessageBody { return readPhase(fields); }},
    MessageReader{"stats",
                  [](const FieldReader& fields) -> MessageBody { return readStats(fields); }},
    MessageReader{"log", [](const FieldReader& fields) -> MessageBody { return readLog(fields); }}};

Error corrupt(std::string message, std::string remedy = {}) {
  return Error{ErrorCode::DataCorrupt, std::move(message), std::move(remedy)};
}

}  // namespace

std::string encode(const ControlMessage& message) {
  OutJson json = {{"v", kControlVersion}, {"type", ""}};
  if (message.re) {
    json["re"] = *message.re;
  }
  json["type"] = std::visit(AddBody{json}, message.body);
  return toLine(json) + '\n';
}

Result<std::optional<ControlMessage>> decodeMessage(std::string_view line) {
  const Result<InJson> json = parseLine(line);
  if (!json) {
    return json.error();
  }
  std::optional<std::string> problem;
  const FieldReader fields(*json, "", problem);
  const std::int64_t version = fields.integer("v", 0, kMostInt);
  if (!problem && version != kControlVersion) {
    return corrupt(fmt::format("the engine speaks version {} of the control protocol, this program "
                               "version {}",
                               version,
                               kControlVersion),
                   "Install the same Tandem on both sides.");
  }
  const std::string type = fields.text("type");
  std::optional<std::int64_t> re;
  if (fields.has("re")) {
    re = fields.integer("re", std::numeric_limits<std::int64_t>::min(), kMostInt64);
  }
  if (problem) {
    return corrupt(*problem);
  }
  // Made in its place: GCC 12 takes a moved optional of a variant for uninitialised.
  Result<std::optional<ControlMessage>> message = std::optional<ControlMessage>();
  for (const MessageReader& reader : kReaders) {
    if (reader.type == type) {
      message->emplace(ControlMessage{re, reader.read(fields)});
      if (problem) {
        return corrupt(fmt::format("{}: {}", type, *problem));
      }
    }
  }
  return message;
}

}  // namespace tandem::protocol
