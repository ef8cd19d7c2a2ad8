// SPDX-License-Identifier: GPL-3.0-or-later
// What a client may ask, to and from JSON lines.
#include <fmt/core.h>

#include <array>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/protocol/control_message.h"
#include "engine/protocol/json_fields.h"

namespace tandem::protocol {

namespace {

constexpr std::int64_t kLeastInt64 = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMostInt64 = std::numeric_limits<std::int64_t>::max();
constexpr double kMostDrainSeconds = 3600;

/// Adds the fields of a body to a request and gives its `type`.
struct AddBody {
  OutJson& json;

  const char* operator()(const HelloRequest& hello) const {
    json["client"] = cutText(hello.client, kMaxNameBytes);
    return "hello";
  }
  const char* operator()(const SubscribeRequest& subscribe) const {
    OutJson& topics = json["topics"] = OutJson::array();
    if (subscribe.topics.phase) {
      topics.push_back("phase");
    }
    if (subscribe.topics.stats) {
      topics.push_back("stats");
    }
    if (subscribe.topics.log) {
      topics.push_back("log");
    }
    json["log_after"] = subscribe.topics.logAfter;
    return "subscribe";
  }
  const char* operator()(const StatusRequest& /*status*/) const { return "status"; }
  const char* operator()(const StopRequest& stop) const {
    if (stop.drainSeconds) {
      json["drain_seconds"] = finiteOrZero(*stop.drainSeconds);
    }
    return "stop";
  }
};

RequestBody readHello(const FieldReader& fields) {
  return HelloRequest{cutText(fields.text("client"), kMaxNameBytes)};
}

RequestBody readSubscribe(const FieldReader& fields) {
  Topics topics;
  for (const std::string& topic : fields.texts("topics")) {
    if (topic == "phase") {
      topics.phase = true;
    } else if (topic == "stats") {
      topics.stats = true;
    } else if (topic == "log") {
      topics.log = true;
    } else {
      fields.unknownName("topics", topic);
    }
  }
  if (fields.has("log_after")) {
    topics.logAfter = fields.count("log_after");
  }
  return SubscribeRequest{topics};
}

RequestBody readStatus(const FieldReader& /*fields*/) {
  return StatusRequest{};
}

RequestBody readStop(const FieldReader& fields) {
  StopRequest stop;
  if (fields.has("drain_seconds")) {
    stop.drainSeconds = fields.number("drain_seconds", 0, kMostDrainSeconds);
  }
  return stop;
}

struct RequestReader {
  std::string_view type;
  RequestBody (*read)(const FieldReader& fields);
};

constexpr std::array kReaders{RequestReader{"hello", readHello},
                              RequestReader{"subscribe", readSubscribe},
                              RequestReader{"status", readStatus},
                              RequestReader{"stop", readStop}};

BadRequest bad(std::optional<std::int64_t> id, std::string message, std::string remedy = {}) {
  return {id, Error{ErrorCode::InvalidArgument, std::move(message), std::move(remedy)}};
}

}  // namespace

std::string encode(const ControlRequest& request) {
  OutJson json = {{"v", kControlVersion}, {"type", ""}, {"id", request.id}};
  json["type"] = std::visit(AddBody{json}, request.body);
  return toLine(json) + '\n';
}

std::variant<ControlRequest, BadRequest> decodeRequest(std::string_view line) {
  const Result<InJson> json = parseLine(line);
  if (!json) {
    return bad(std::nullopt, json.error().message, "Send one JSON object a line.");
  }
  std::optional<std::string> problem;
  const FieldReader fields(*json, "", problem);
  // Its id first of all: a refusal is more useful to a client that can tell what was refused.
  const std::int64_t id = fields.integer("id", kLeastInt64, kMostInt64);
  const std::optional<std::int64_t> known = problem ? std::nullopt : std::optional(id);
  std::optional<std::string> wrongVersion;
  const std::int64_t version =
      FieldReader(*json, "", wrongVersion).integer("v", kLeastInt64, kMostInt64);
  if (wrongVersion) {
    return bad(known, *wrongVersion);
  }
  if (version != kControlVersion) {
    return bad(known,
               fmt::format("the client speaks version {} of the control protocol, this engine "
                           "version {}",
                           version,
                           kControlVersion),
               "Install the same Tandem on both sides.");
  }
  const std::string type = fields.text("type");
  if (problem) {
    return bad(known, *problem);
  }
  for (const RequestReader& reader : kReaders) {
    if (reader.type == type) {
      ControlRequest request{id, reader.read(fields)};
      if (problem) {
        return bad(known, fmt::format("{}: {}", type, *problem));
      }
      return request;
    }
  }
  return bad(known,
             fmt::format("type: {} is no request this engine knows", shown(type)),
             "Ask hello, subscribe, status or stop.");
}

}  // namespace tandem::protocol
