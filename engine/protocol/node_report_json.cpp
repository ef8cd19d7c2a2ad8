// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/node_report_json.h"

#include <fmt/core.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/protocol/node_report_fields.h"

namespace tandem::protocol {

namespace {

using OutJson = nlohmann::ordered_json;
using InJson = nlohmann::json;

constexpr const char* kType = "node_report";
constexpr std::size_t kMaxShownBytes = 40;

// Values that JSON has itself.
template <typename Value>
concept Plain = std::is_arithmetic_v<Value> || std::same_as<Value, std::string>;

/// A visitor that adds each member to a JSON object.
class FieldWriter {
 public:
  explicit FieldWriter(OutJson& object)
      : object_(object) {}

  template <typename Value>
  void operator()(const char* name, const Value& value) {
    object_[name] = json(value);
  }

 private:
  static OutJson json(const Plain auto& value) { return value; }
  template <typename Value>
  static OutJson json(const std::optional<Value>& value) {
    return value ? json(*value) : OutJson(nullptr);
  }
  template <typename Value>
  static OutJson json(const std::vector<Value>& values) {
    OutJson list = OutJson::array();
    for (const Value& value : values) {
      list.push_back(json(value));
    }
    return list;
  }
  template <typename Struct>
  static OutJson json(const Struct& value) {
    OutJson object = OutJson::object();
    FieldWriter writer(object);
    fields(writer, value);
    return object;
  }

  OutJson& object_;
};

/// A visitor that fills each member from a JSON object. Keeps the first problem only.
class ObjectReader {
 public:
  ObjectReader(const InJson& object, std::string path, std::optional<std::string>& problem)
      : object_(object),
        path_(std::move(path)),
        problem_(problem) {}

  template <typename Value>
  void operator()(const char* name, Value& value) {
    const auto found = object_.find(name);
    if (found != object_.end() && !found->is_null()) {
      read(*found, path_.empty() ? name : path_ + "." + name, value);
    }
  }

 private:
  void read(const InJson& json, const std::string& path, bool& value) {
    if (json.is_boolean()) {
      value = json.get<bool>();
    } else {
      expected(json, path, "true or false");
    }
  }
  void read(const InJson& json, const std::string& path, double& value) {
    if (json.is_number()) {
      value = json.get<double>();
    } else {
      expected(json, path, "a number");
    }
  }
  void read(const InJson& json, const std::string& path, std::string& value) {
    if (json.is_string()) {
      value = json.get<std::string>();
    } else {
      expected(json, path, "a text");
    }
  }
  template <std::integral Number>
  void read(const InJson& json, const std::string& path, Number& value) {
    if (json.is_number_unsigned() && std::in_range<Number>(json.get<std::uint64_t>())) {
      value = static_cast<Number>(json.get<std::uint64_t>());
    } else if (json.is_number_integer() && !json.is_number_unsigned() &&
               std::in_range<Number>(json.get<std::int64_t>())) {
      value = static_cast<Number>(json.get<std::int64_t>());
    } else {
      expected(json,
               path,
               fmt::format("a whole number from {} to {}",
                           std::numeric_limits<Number>::min(),
                           std::numeric_limits<Number>::max()));
    }
  }
  template <typename Value>
  void read(const InJson& json, const std::string& path, std::optional<Value>& value) {
    read(json, path, value.emplace());
  }
  template <typename Value>
  void read(const InJson& json, const std::string& path, std::vector<Value>& values) {
    if (!json.is_array()) {
      expected(json, path, "a list");
      return;
    }
    for (std::size_t i = 0; i < json.size(); ++i) {
      read(json[i], fmt::format("{}[{}]", path, i), values.emplace_back());
    }
  }
  template <typename Struct>
  requires std::is_aggregate_v<Struct>
  void read(const InJson& json, const std::string& path, Struct& value) {
    if (!json.is_object()) {
      expected(json, path, "an object");
      return;
    }
    ObjectReader reader(json, path, problem_);
    fields(reader, value);
  }

  void expected(const InJson& json, const std::string& path, const std::string& what) {
    if (!problem_) {
      const bool isShort = json.is_primitive() && json.dump().size() <= kMaxShownBytes;
      problem_ = fmt::format("{} is {}; expected {}",
                             path,
                             isShort ? json.dump() : std::string(json.type_name()),
                             what);
    }
  }

  const InJson& object_;
  std::string path_;
  std::optional<std::string>& problem_;
};

Error corrupt(const std::string& message) {
  return Error{ErrorCode::DataCorrupt,
               "the node report cannot be read: " + message,
               "Use the same version of tandem-engine on every node."};
}

}  // namespace

std::string encodeNodeReport(const api::NodeReport& report) {
  OutJson json = {{"v", kNodeReportVersion}, {"type", kType}};
  FieldWriter writer(json);
  fields(writer, report);
  return json.dump(-1, ' ', false, OutJson::error_handler_t::replace);
}

Result<api::NodeReport> decodeNodeReport(std::string_view text) {
  const InJson json = InJson::parse(text, nullptr, false);
  if (!json.is_object()) {
    return corrupt("it is no JSON object");
  }
  std::optional<std::string> problem;
  ObjectReader reader(json, "", problem);
  std::string type;
  int version = 0;
  reader("type", type);
  reader("v", version);
  if (problem) {
    return corrupt(*problem);
  }
  if (type != kType) {
    return corrupt(
        fmt::format("its type is \"{}\"; expected \"{}\"", type.substr(0, kMaxShownBytes), kType));
  }
  if (version != kNodeReportVersion) {
    return corrupt(fmt::format("it is of version {}; this program reads version {}",
                               version,
                               kNodeReportVersion));
  }
  api::NodeReport report;
  fields(reader, report);
  if (problem) {
    return corrupt(*problem);
  }
  return report;
}

}  // namespace tandem::protocol
