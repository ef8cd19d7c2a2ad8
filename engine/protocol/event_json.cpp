// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/event_json.h"

#include <array>
#include <limits>

#include <nlohmann/json.hpp>

#include "engine/protocol/wall_time.h"

namespace tandem::protocol {

namespace {

using api::PhaseEventKind;

constexpr int kMostInt = std::numeric_limits<int>::max();

constexpr std::array kErrorCodes{ErrorCode::InvalidArgument,
                                 ErrorCode::NotFound,
                                 ErrorCode::OutOfRange,
                                 ErrorCode::AlreadyExists,
                                 ErrorCode::PermissionDenied,
                                 ErrorCode::Unavailable,
                                 ErrorCode::OutOfMemory,
                                 ErrorCode::DataCorrupt,
                                 ErrorCode::Timeout,
                                 ErrorCode::Cancelled,
                                 ErrorCode::Internal};
constexpr std::array kPhaseEventKinds{PhaseEventKind::Begin,
                                      PhaseEventKind::Progress,
                                      PhaseEventKind::End,
                                      PhaseEventKind::Failed,
                                      PhaseEventKind::Skipped};
constexpr std::array kLogLevels{LogLevel::Debug,
                                LogLevel::Info,
                                LogLevel::Warning,
                                LogLevel::Error};

std::string_view kindName(PhaseEventKind kind) {
  switch (kind) {
    case PhaseEventKind::Begin:
      return "begin";
    case PhaseEventKind::Progress:
      return "progress";
    case PhaseEventKind::End:
      return "end";
    case PhaseEventKind::Failed:
      return "failed";
    case PhaseEventKind::Skipped:
      return "skipped";
  }
  return "begin";
}

template <typename Value, std::size_t Count, typename Name>
std::optional<Value> fromName(const std::array<Value, Count>& values,
                              Name nameOf,
                              std::string_view name) {
  for (const Value value : values) {
    if (name == nameOf(value)) {
      return value;
    }
  }
  return std::nullopt;
}

std::optional<PhaseEventKind> kindFromName(std::string_view name) {
  return fromName(kPhaseEventKinds, kindName, name);
}

std::optional<LogLevel> logLevelFromName(std::string_view name) {
  return fromName(kLogLevels, logLevelName, name);
}

}  // namespace

OutJson errorJson(const Error& error) {
  return {{"code", errorCodeName(error.code)},
          {"message", cutText(error.message)},
          {"remedy", cutText(error.remedy)}};
}

Error readError(const FieldReader& fields) {
  const ErrorCode code =
      fromName(kErrorCodes, errorCodeName, fields.text("code")).value_or(ErrorCode::Internal);
  return Error{code, fields.text("message"), fields.text("remedy")};
}

void addState(OutJson& json, const api::StateEvent& event) {
  json["state"] = api::engineStateName(event.state);
  json["t"] = wallTimeText(event.wallMs);
  json["endpoint"] = cutText(event.endpoint, kMaxNameBytes);
  if (event.error) {
    json["error"] = errorJson(*event.error);
  }
}

api::StateEvent readState(const FieldReader& fields) {
  api::StateEvent event;
  event.state = fields.named("state", &api::engineStateFromName, api::EngineState::Starting);
  event.wallMs = fields.wallTime("t");
  event.endpoint = fields.text("endpoint");
  if (fields.has("error")) {
    event.error = readError(fields.object("error"));
  }
  return event;
}

void addPhase(OutJson& json, const api::PhaseEvent& event) {
  json["phase"] = api::phaseName(event.phase);
  json["rank"] = event.rank;
  json["state"] = kindName(event.kind);
  json["t_mono_ns"] = event.monotonicNs;
  json["t"] = wallTimeText(event.wallMs);
  json["bytes_done"] = event.bytesDone;
  json["bytes_total"] = event.bytesTotal;
  json["detail"] = cutText(event.detail);
}

api::PhaseEvent readPhase(const FieldReader& fields) {
  api::PhaseEvent event;
  event.phase = fields.named("phase", &api::phaseFromName, api::Phase::Connect);
  event.rank = fields.smallInteger("rank", 0, kMostInt);
  event.kind = fields.named("state", &kindFromName, PhaseEventKind::Begin);
  event.monotonicNs = fields.integer("t_mono_ns",
                                     std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max());
  event.wallMs = fields.wallTime("t");
  event.bytesDone = fields.count("bytes_done");
  event.bytesTotal = fields.count("bytes_total");
  event.detail = fields.text("detail");
  return event;
}

void addLog(OutJson& json, const LogRecord& record) {
  json["seq"] = record.seq;
  json["t"] = wallTimeText(record.wallMs);
  json["rank"] = record.rank;
  json["level"] = logLevelName(record.level);
  json["module"] = cutText(record.module, kMaxNameBytes);
  json["request"] = cutText(record.request, kMaxNameBytes);
  json["text"] = cutText(record.text);
}

LogRecord readLog(const FieldReader& fields) {
  LogRecord record;
  record.seq = fields.count("seq");
  record.wallMs = fields.wallTime("t");
  record.rank = fields.smallInteger("rank", 0, kMostInt);
  record.level = fields.named("level", &logLevelFromName, LogLevel::Info);
  record.module = fields.text("module");
  record.request = fields.text("request");
  record.text = fields.text("text");
  return record;
}

}  // namespace tandem::protocol
