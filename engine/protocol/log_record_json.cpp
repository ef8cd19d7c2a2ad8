// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/log_record_json.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "engine/protocol/event_json.h"
#include "engine/protocol/json_fields.h"

namespace tandem::protocol {

std::string logLine(const LogRecord& record) {
  OutJson json = OutJson::object();
  addLog(json, record);
  return toLine(json);
}

Result<LogRecord> parseLogLine(std::string_view line) {
  const Result<InJson> json = parseLine(line);
  if (!json) {
    return json.error();
  }
  std::optional<std::string> problem;
  LogRecord record = readLog(FieldReader(*json, "", problem));
  if (problem) {
    return Error{ErrorCode::DataCorrupt, "a log record's " + *problem, ""};
  }
  return record;
}

}  // namespace tandem::protocol
