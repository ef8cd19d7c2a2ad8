// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/json_fields.h"

#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/protocol/control_message.h"
#include "engine/protocol/wall_time.h"

namespace tandem::protocol {

namespace {

constexpr int kMaxDepth = 16;
constexpr std::size_t kShownBytes = 60;

/// Checked before parsing: a megabyte of brackets would cost a hundred in values.
bool nestsDeeper(std::string_view line, int limit) {
  int depth = 0;
  bool inText = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char symbol = line[i];
    if (inText) {
      if (symbol == '\\') {
        ++i;
      } else if (symbol == '"') {
        inText = false;
      }
    } else if (symbol == '"') {
      inText = true;
    } else if (symbol == '{' || symbol == '[') {
      if (++depth > limit) {
        return true;
      }
    } else if (symbol == '}' || symbol == ']') {
      --depth;
    }
  }
  return false;
}

Error corrupt(std::string message) {
  return Error{ErrorCode::DataCorrupt, std::move(message), ""};
}

}  // namespace

std::string cutText(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) {
    return text;
  }
  std::size_t end = limit;
  // Back to the first byte of a character; a character has at most three more.
  while (end > limit - 3 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return fmt::format("{}… ({} more bytes)", text.substr(0, end), text.size() - end);
}

double finiteOrZero(double number) {
  return std::isfinite(number) ? number : 0;
}

std::string toLine(const OutJson& json) {
  return json.dump(-1, ' ', false, OutJson::error_handler_t::replace);
}

Result<InJson> parseLine(std::string_view line) {
  if (line.size() >= kMaxLineBytes) {
    return corrupt(fmt::format("the line has {} bytes; with its newline it may have {}",
                               line.size(),
                               kMaxLineBytes));
  }
  if (nestsDeeper(line, kMaxDepth)) {
    return corrupt(fmt::format("the line nests deeper than {} levels", kMaxDepth));
  }
  try {
    InJson json = InJson::parse(line);
    if (!json.is_object()) {
      return corrupt(fmt::format("expected a JSON object, got {}", shown(json)));
    }
    return json;
  } catch (const InJson::parse_error& problem) {
    return corrupt(fmt::format("the line is no JSON: it breaks at byte {}", problem.byte));
  } catch (const InJson::exception&) {
    // A number such as 1e999.
    return corrupt("the line is no JSON: it has a number that no machine can hold");
  }
}

std::string shown(const InJson& value) {
  if (value.is_object()) {
    return "an object";
  }
  if (value.is_array()) {
    return "a list";
  }
  const std::string text = value.dump(-1, ' ', false, InJson::error_handler_t::replace);
  if (text.size() > kShownBytes) {
    return value.is_string() ? "a long text" : "a long number";
  }
  return text;
}

FieldReader::FieldReader(const InJson& object,
                         std::string path,
                         std::optional<std::string>& problem)
    : object_(&object),
      path_(std::move(path)),
      problem_(&problem) {}

const InJson* FieldReader::find(const char* key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool FieldReader::has(const char* key) const {
  return find(key) != nullptr;
}

std::string FieldReader::text(const char* key) const {
  const InJson* value = find(key);
  if (value == nullptr || !value->is_string()) {
    expected(key, "a text");
    return {};
  }
  return value->get<std::string>();
}

std::int64_t FieldReader::integer(const char* key, std::int64_t low, std::int64_t high) const {
  const InJson* value = find(key);
  if (value == nullptr || !value->is_number_integer()) {
    expected(key, "a whole number");
    return low;
  }
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool beyond = value->is_number_unsigned() && value->get<std::uint64_t>() > kMost;
  const std::int64_t number = beyond ? 0 : value->get<std::int64_t>();
  if (beyond || number < low || number > high) {
    fail(key, fmt::format("{} is outside {} to {}", shown(*value), low, high));
    return low;
  }
  return number;
}

int FieldReader::smallInteger(const char* key, int low, int high) const {
  return static_cast<int>(integer(key, low, high));
}

std::uint64_t FieldReader::count(const char* key) const {
  const InJson* value = find(key);
  if (value == nullptr || !value->is_number_integer()) {
    expected(key, "a whole number");
    return 0;
  }
  if (!value->is_number_unsigned()) {
    fail(key, fmt::format("{} is below 0", shown(*value)));
    return 0;
  }
  return value->get<std::uint64_t>();
}

double FieldReader::number(const char* key, double low, double high) const {
  const InJson* value = find(key);
  if (value == nullptr || !value->is_number()) {
    expected(key, "a number");
    return low;
  }
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    fail(key, fmt::format("{} is outside {} to {}", shown(*value), low, high));
    return low;
  }
  return number;
}

std::int64_t FieldReader::wallTime(const char* key) const {
  const InJson* value = find(key);
  const std::optional<std::int64_t> time = value != nullptr && value->is_string()
                                               ? parseWallTime(value->get_ref<const std::string&>())
                                               : std::nullopt;
  if (!time) {
    expected(key, "a time such as \"2026-11-23T13:37:05.120Z\"");
  }
  return time.value_or(0);
}

FieldReader FieldReader::object(const char* key) const {
  static const InJson kNone = InJson::object();
  const InJson* value = find(key);
  if (value == nullptr || !value->is_object()) {
    expected(key, "an object");
    value = &kNone;
  }
  return {*value, path_ + key + ".", *problem_};
}

std::vector<FieldReader> FieldReader::objects(const char* key) const {
  std::vector<FieldReader> readers;
  const InJson* value = find(key);
  if (value == nullptr || !value->is_array()) {
    expected(key, "a list");
    return readers;
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    const InJson& item = (*value)[i];
    if (!item.is_object()) {
      fail(key, fmt::format("expected a list of objects, it has {}", shown(item)));
      return {};
    }
    readers.push_back({item, fmt::format("{}{}[{}].", path_, key, i), *problem_});
  }
  return readers;
}

std::vector<std::string> FieldReader::texts(const char* key) const {
  std::vector<std::string> texts;
  const InJson* value = find(key);
  if (value == nullptr || !value->is_array()) {
    expected(key, "a list");
    return texts;
  }
  for (const InJson& item : *value) {
    if (!item.is_string()) {
      fail(key, fmt::format("expected a list of texts, it has {}", shown(item)));
      return {};
    }
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

const InJson* FieldReader::list(const char* key, std::size_t most) const {
  const InJson* value = find(key);
  if (value == nullptr || !value->is_array()) {
    expected(key, "a list");
    return nullptr;
  }
  if (value->size() > most) {
    fail(key, fmt::format("the list has {} entries; it may have {}", value->size(), most));
    return nullptr;
  }
  return value;
}

std::vector<std::uint64_t> FieldReader::counts(const char* key, std::size_t most) const {
  std::vector<std::uint64_t> counts;
  const InJson* value = list(key, most);
  if (value == nullptr) {
    return counts;
  }
  for (const InJson& item : *value) {
    if (!item.is_number_unsigned()) {
      fail(key, fmt::format("expected a list of counts, it has {}", shown(item)));
      return {};
    }
    counts.push_back(item.get<std::uint64_t>());
  }
  return counts;
}

std::vector<double> FieldReader::numbers(const char* key, std::size_t most) const {
  std::vector<double> numbers;
  const InJson* value = list(key, most);
  if (value == nullptr) {
    return numbers;
  }
  for (const InJson& item : *value) {
    if (!item.is_number()) {
      fail(key, fmt::format("expected a list of numbers, it has {}", shown(item)));
      return {};
    }
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

void FieldReader::unknownName(const char* key, const std::string& name) const {
  fail(key, fmt::format("{} is none of the known names", shown(name)));
}

void FieldReader::fail(const char* key, const std::string& text) const {
  if (!*problem_) {
    *problem_ = fmt::format("{}{}: {}", path_, key, text);
  }
}

void FieldReader::expected(const char* key, const char* what) const {
  const InJson* value = find(key);
  fail(key,
       value == nullptr ? fmt::format("is missing; expected {}", what)
                        : fmt::format("expected {}, got {}", what, shown(*value)));
}

}  // namespace tandem::protocol
