// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/json_field.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace tandem::server {

using tokenizer::JsonValue;

namespace {

constexpr std::size_t kShownCharacters = 40;

/// The value as an error message shows it: its kind, and itself when short.
std::string shown(const JsonValue& value) {
  if (value.isObject()) {
    return "an object";
  }
  if (value.isArray()) {
    return "a list";
  }
  const std::string text = tokenizer::pythonJson(value);
  if (text.size() > kShownCharacters) {
    return value.isString() ? "a long string" : "a long number";
  }
  return text;
}

/// Not a number for anything that is none.
double asDouble(const JsonValue& value) {
  double number = std::nan("");
  if (value.kind() == JsonValue::Kind::Number) {
    const std::string& text = value.text();
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return number;
}

}  // namespace

JsonField::JsonField(const JsonValue& document, std::optional<ApiError>& problem)
    : JsonField(&document, "", problem) {}

JsonField::JsonField(const JsonValue* value, std::string path, std::optional<ApiError>& problem)
    : value_(value),
      path_(std::move(path)),
      problem_(&problem) {}

JsonField JsonField::operator[](const char* key) const {
  return {isObject() ? value_->find(key) : nullptr,
          path_.empty() ? std::string(key) : path_ + "." + key,
          *problem_};
}

bool JsonField::present() const {
  return value_ != nullptr && value_->kind() != JsonValue::Kind::Null;
}
bool JsonField::isString() const {
  return value_ != nullptr && value_->isString();
}
bool JsonField::isArray() const {
  return value_ != nullptr && value_->isArray();
}
bool JsonField::isObject() const {
  return value_ != nullptr && value_->isObject();
}
bool JsonField::isBool() const {
  return value_ != nullptr && value_->kind() == JsonValue::Kind::Boolean;
}

const std::string& JsonField::string() const {
  static const std::string kNone;
  if (!isString()) {
    expected("a string");
    return kNone;
  }
  return value_->text();
}

bool JsonField::boolean() const {
  if (!isBool()) {
    expected("true or false");
    return false;
  }
  return value_->isTrue();
}

double JsonField::number(double low, double high) const {
  const double number = value_ == nullptr ? std::nan("") : asDouble(*value_);
  if (value_ == nullptr || std::isnan(number)) {
    expected("a number");
    return low;
  }
  if (number < low || number > high) {
    fail(fmt::format("{} is outside {} to {}", shown(*value_), low, high));
    return low;
  }
  return number;
}

std::int64_t JsonField::integer(std::int64_t low, std::int64_t high) const {
  const double number = value_ == nullptr ? std::nan("") : asDouble(*value_);
  if (value_ == nullptr || std::isnan(number) || std::floor(number) != number) {
    expected("a whole number");
    return low;
  }
  std::int64_t exact = 0;
  const std::string& text = value_->text();
  const char* end = text.data() + text.size();
  const auto [parsed, problem] = std::from_chars(text.data(), end, exact);
  if (problem != std::errc() || parsed != end) {
    // Some clients write 64.0; a number beyond 64 bits is outside every range below.
    constexpr double kExactlyHeld = 9007199254740992.0;  // 2^53
    exact = std::fabs(number) <= kExactlyHeld ? static_cast<std::int64_t>(number)
            : number < 0                      ? std::numeric_limits<std::int64_t>::min()
                                              : std::numeric_limits<std::int64_t>::max();
  }
  if (exact < low || exact > high) {
    fail(fmt::format("{} is outside {} to {}", shown(*value_), low, high));
    return low;
  }
  return exact;
}

std::vector<JsonField> JsonField::items() const {
  std::vector<JsonField> items;
  if (!isArray()) {
    expected("a list");
    return items;
  }
  for (std::size_t i = 0; i < value_->items().size(); ++i) {
    items.push_back(JsonField(&value_->items()[i], fmt::format("{}[{}]", path_, i), *problem_));
  }
  return items;
}

std::vector<std::pair<std::string, JsonField>> JsonField::members() const {
  std::vector<std::pair<std::string, JsonField>> members;
  for (const auto& [key, value] : object().members()) {
    std::string path = path_.empty() ? key : path_ + "." + key;
    members.emplace_back(key, JsonField(&value, std::move(path), *problem_));
  }
  return members;
}

const JsonValue& JsonField::object() const {
  static const JsonValue kNone = JsonValue::object({});
  if (!isObject()) {
    expected("an object");
    return kNone;
  }
  return *value_;
}

std::string JsonField::stringOr(const std::string& otherwise) const {
  return present() ? string() : otherwise;
}

bool JsonField::booleanOr(bool otherwise) const {
  return present() ? boolean() : otherwise;
}

double JsonField::numberOr(double otherwise, double low, double high) const {
  return present() ? number(low, high) : otherwise;
}

void JsonField::fail(std::string_view problem) const {
  if (!*problem_) {
    *problem_ = invalidField(path_.empty() ? "body" : path_, std::string(problem));
  }
}

void JsonField::expected(std::string_view what) const {
  fail(value_ == nullptr ? fmt::format("is missing; expected {}", what)
                         : fmt::format("expected {}, got {}", what, shown(*value_)));
}

}  // namespace tandem::server
