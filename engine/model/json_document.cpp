// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/json_document.h"

#include <fmt/core.h>

#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/whole_file.h"

namespace tandem::model {

namespace {

using Json = nlohmann::json;

// A safetensors header needs 3, config.json 3. Code that walks or prints a value recurses, so an
// unbounded depth would be an unbounded stack.
constexpr int kDeepest = 16;

/// Watches a parse for what nlohmann::json accepts silently.
class ParseGuard {
 public:
  /// nlohmann's callback: `depth` counts the containers around the event.
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (depth > kDeepest) {
      tooDeep_ = true;
      return false;
    }
    if (event == Json::parse_event_t::object_start) {
      keys_.resize(level + 1);
      keys_[level].clear();
    } else if (event == Json::parse_event_t::key && duplicate_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_[level - 1].insert(key).second) {
        duplicate_ = fmt::format("the key \"{}\" twice", key);
      }
    }
    return true;
  }

  /// What is wrong, or "".
  [[nodiscard]] std::string problem() const {
    return tooDeep_ ? fmt::format("nesting deeper than {}", kDeepest) : duplicate_;
  }

 private:
  std::vector<std::set<std::string>> keys_;  // of the open object at each depth
  bool tooDeep_ = false;
  std::string duplicate_;
};

Error corrupt(const std::string& message) {
  return Error{ErrorCode::DataCorrupt, message, "Download it again."};
}

}  // namespace

Result<Json> parseJsonObject(const std::string& text, const std::string& origin) {
  ParseGuard guard;
  Json document = Json::parse(
      text,
      [&guard](int depth, Json::parse_event_t event, const Json& parsed) {
        return guard(depth, event, parsed);
      },
      false);
  if (const std::string problem = guard.problem(); !problem.empty()) {
    return corrupt(fmt::format("{} has {}", origin, problem));
  }
  if (document.is_discarded() || !document.is_object()) {
    return corrupt(origin + " is not a JSON object");
  }
  return document;
}

Result<Json> readJsonObject(const std::filesystem::path& file) {
  const Result<std::string> text = readWholeFile(file);
  if (!text) {
    Error error = text.error();
    error.remedy = error.code == ErrorCode::PermissionDenied
                       ? "Make the model folder readable for the user that runs the engine."
                       : "Give the folder that holds config.json and the safetensors files.";
    return error;
  }
  return parseJsonObject(*text, file.string());
}

}  // namespace tandem::model
