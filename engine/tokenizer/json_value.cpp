// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/json_value.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/utf8.h"

namespace tandem::tokenizer {

namespace {

/// Below this many members a scan is cheaper than a hash table.
constexpr std::size_t kFewMembers = 8;

/// Later values move to the key's first place.
std::vector<JsonValue::Member> withoutRepeatedKeys(std::vector<JsonValue::Member> members) {
  if (members.size() < 2) {
    return members;
  }
  std::unordered_map<std::string_view, std::size_t> firstPlace;
  const bool few = members.size() <= kFewMembers;
  const auto placeOf = [&](std::size_t index) {
    const std::string_view key = members[index].first;
    if (!few) {
      return firstPlace.emplace(key, index).first->second;
    }
    std::size_t place = 0;
    while (members[place].first != key) {
      ++place;
    }
    return place;
  };
  std::vector<bool> repeated(members.size(), false);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::size_t place = placeOf(i);
    if (place != i) {
      members[place].second = std::move(members[i].second);
      repeated[i] = true;
    }
  }
  std::vector<JsonValue::Member> kept;
  kept.reserve(members.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!repeated[i]) {
      kept.push_back(std::move(members[i]));
    }
  }
  return kept;
}

/// Builds a JsonValue from the parser's events; holds the open arrays and objects itself, so that
/// deep input costs no stack.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add(JsonValue()); }
  bool boolean(bool value) override { return add(JsonValue::boolean(value)); }
  bool number_integer(std::int64_t value) override {
    return add(JsonValue::number(std::to_string(value)));
  }
  bool number_unsigned(std::uint64_t value) override {
    return add(JsonValue::number(std::to_string(value)));
  }
  bool number_float(double value, const std::string& source) override {
    // The parser falls back to a double for integers beyond 64 bits. Python does not.
    const bool isInteger = source.find_first_of(".eE") == std::string::npos;
    return add(JsonValue::number(isInteger ? source : pythonFloat(value)));
  }
  bool string(std::string& value) override { return add(JsonValue::string(std::move(value))); }
  bool binary(nlohmann::json::binary_t& /*value*/) override { return false; }

  bool start_object(std::size_t /*size*/) override { return open(true); }
  bool key(std::string& value) override {
    open_.back().key = std::move(value);
    return true;
  }
  bool end_object() override {
    std::vector<JsonValue::Member> members = std::move(open_.back().members);
    open_.pop_back();
    return add(JsonValue::object(withoutRepeatedKeys(std::move(members))));
  }
  bool start_array(std::size_t /*size*/) override { return open(false); }
  bool end_array() override {
    std::vector<JsonValue> items = std::move(open_.back().items);
    open_.pop_back();
    return add(JsonValue::array(std::move(items)));
  }

  bool parse_error(std::size_t position,
                   const std::string& /*token*/,
                   const nlohmann::json::exception& exception) override {
    // "[json.exception.parse_error.101] parse error at line 1, …: what was expected": the offset is
    // ours to give, and the rest quotes the input, however long.
    constexpr std::size_t kMaxDetail = 160;
    std::string_view detail = exception.what();
    detail.remove_prefix(std::min(detail.size(), detail.find("] ") + 2));
    if (const std::size_t colon = detail.find(": "); colon != std::string_view::npos) {
      detail.remove_prefix(colon + 2);
    }
    error_ = Error{
        ErrorCode::InvalidArgument,
        fmt::format("not JSON at byte {}: {}", position, lossyUtf8(detail.substr(0, kMaxDetail))),
        ""};
    return false;
  }

  [[nodiscard]] JsonValue& root() { return root_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  struct Open {
    bool isObject = false;
    std::string key;
    std::vector<JsonValue> items;
    std::vector<JsonValue::Member> members;
  };

  bool open(bool isObject) {
    if (open_.size() >= static_cast<std::size_t>(kMaxJsonDepth)) {
      error_ = Error{ErrorCode::InvalidArgument,
                     fmt::format("JSON is nested deeper than {} levels", kMaxJsonDepth),
                     ""};
      return false;
    }
    open_.push_back(Open{isObject, {}, {}, {}});
    return true;
  }

  bool add(JsonValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().isObject) {
      open_.back().members.emplace_back(std::move(open_.back().key), std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  JsonValue root_;
  std::vector<Open> open_;
  Error error_;
};

/// The four hexadecimal digits after `\u` at `text[at]`, or nothing.
std::optional<unsigned> unicodeEscapeAt(std::string_view text, std::size_t at) {
  constexpr std::size_t kEscapeSize = 6;
  if (at + kEscapeSize > text.size() || text[at] != '\\' || text[at + 1] != 'u') {
    return std::nullopt;
  }
  unsigned unit = 0;
  const char* begin = text.data() + at + 2;
  const char* end = text.data() + at + kEscapeSize;
  const auto [parsed, status] = std::from_chars(begin, end, unit, 16);
  return parsed == end && status == std::errc() ? std::optional(unit) : std::nullopt;
}

bool isHighSurrogate(unsigned unit) {
  return unit >= 0xD800U && unit <= 0xDBFFU;
}
bool isLowSurrogate(unsigned unit) {
  return unit >= 0xDC00U && unit <= 0xDFFFU;
}

/// `text` with every unpaired surrogate escape replaced by `\uFFFD`; offsets stay the same.
std::string withoutLoneSurrogates(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i + 1 < out.size(); ++i) {
    if (out[i] != '\\') {
      continue;
    }
    const std::optional<unsigned> unit = unicodeEscapeAt(out, i);
    if (!unit) {
      ++i;  // a backslash and what it escapes
      continue;
    }
    const std::optional<unsigned> next = unicodeEscapeAt(out, i + 6);
    if (isHighSurrogate(*unit) && next && isLowSurrogate(*next)) {
      i += 11;
      continue;
    }
    if (isHighSurrogate(*unit) || isLowSurrogate(*unit)) {
      out.replace(i + 2, 4, "FFFD");
    }
    i += 5;
  }
  return out;
}

void writeString(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (const auto byte = static_cast<std::uint8_t>(c); byte < 0x20U) {
          out += fmt::format("\\u{:04x}", byte);
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void writeValue(const JsonValue& value, std::string& out) {
  switch (value.kind()) {
    case JsonValue::Kind::Null:
      out += "null";
      break;
    case JsonValue::Kind::Boolean:
    case JsonValue::Kind::Number:
      out += value.text();
      break;
    case JsonValue::Kind::String:
      writeString(value.text(), out);
      break;
    case JsonValue::Kind::Array: {
      out += '[';
      std::string_view separator;
      for (const JsonValue& item : value.items()) {
        out += separator;
        separator = ", ";
        writeValue(item, out);
      }
      out += ']';
      break;
    }
    case JsonValue::Kind::Object: {
      out += '{';
      std::string_view separator;
      for (const JsonValue::Member& member : value.members()) {
        out += separator;
        separator = ", ";
        writeString(member.first, out);
        out += ": ";
        writeValue(member.second, out);
      }
      out += '}';
      break;
    }
  }
}

}  // namespace

JsonValue JsonValue::boolean(bool value) {
  JsonValue made;
  made.kind_ = Kind::Boolean;
  made.text_ = value ? "true" : "false";
  return made;
}

JsonValue JsonValue::number(std::string text) {
  JsonValue made;
  made.kind_ = Kind::Number;
  made.text_ = std::move(text);
  return made;
}

JsonValue JsonValue::string(std::string text) {
  JsonValue made;
  made.kind_ = Kind::String;
  made.text_ = std::move(text);
  return made;
}

JsonValue JsonValue::array(std::vector<JsonValue> items) {
  JsonValue made;
  made.kind_ = Kind::Array;
  made.items_ = std::move(items);
  return made;
}

JsonValue JsonValue::object(std::vector<Member> members) {
  JsonValue made;
  made.kind_ = Kind::Object;
  made.members_ = std::move(members);
  return made;
}

const JsonValue* JsonValue::find(std::string_view key) const {
  for (const Member& member : members_) {
    if (member.first == key) {
      return &member.second;
    }
  }
  return nullptr;
}

Result<JsonValue> parseJson(std::string_view text) {
  std::string repaired;
  if (text.find("\\u") != std::string_view::npos) {
    repaired = withoutLoneSurrogates(text);
    text = repaired;
  }
  Builder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return builder.error();
  }
  return std::move(builder.root());
}

std::string pythonJson(const JsonValue& value) {
  std::string out;
  writeValue(value, out);
  return out;
}

std::string pythonJsonString(std::string_view text) {
  std::string out;
  writeString(text, out);
  return out;
}

std::string pythonFloat(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-Infinity" : "Infinity";
  }
  // The shortest digits that read back as `value`, as "d.ddde±xx"; only the layout is Python's own.
  std::array<char, 40> buffer{};
  const auto [end, status] = std::to_chars(buffer.data(),
                                           buffer.data() + buffer.size(),
                                           value,
                                           std::chars_format::scientific);
  const std::string_view shortest(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  const std::size_t mark = shortest.find('e');
  int exponent = 0;
  const std::size_t sign = shortest[mark + 1] == '+' ? 1 : 0;
  std::from_chars(shortest.data() + mark + 1 + sign, end, exponent);

  std::string out;
  std::string digits;
  for (const char c : shortest.substr(0, mark)) {
    if (c == '-') {
      out = "-";
    } else if (c != '.') {
      digits += c;
    }
  }
  constexpr int kFirstExponentWritten = 16;
  if (exponent < -4 || exponent >= kFirstExponentWritten) {
    out += digits[0];
    if (digits.size() > 1) {
      out += '.';
      out += digits.substr(1);
    }
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto wholeDigits = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= wholeDigits) {
    return out + digits + std::string(wholeDigits - digits.size(), '0') + ".0";
  }
  return out + digits.substr(0, wholeDigits) + "." + digits.substr(wholeDigits);
}

}  // namespace tandem::tokenizer
