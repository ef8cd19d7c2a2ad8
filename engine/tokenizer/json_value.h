// SPDX-License-Identifier: GPL-3.0-or-later
// JSON for prompts: key order and number spelling survive, as the model saw them in training.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"

namespace tandem::tokenizer {

/// One JSON value with its object keys in source order. A key that is repeated keeps its first
/// place and its last value, as in Python.
class JsonValue {
 public:
  enum class Kind { Null, Boolean, Number, String, Array, Object };
  using Member = std::pair<std::string, JsonValue>;

  JsonValue() = default;
  static JsonValue boolean(bool value);
  /// `text` is already in the spelling of Python.
  static JsonValue number(std::string text);
  static JsonValue string(std::string text);
  static JsonValue array(std::vector<JsonValue> items);
  static JsonValue object(std::vector<Member> members);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool isString() const { return kind_ == Kind::String; }
  [[nodiscard]] bool isArray() const { return kind_ == Kind::Array; }
  [[nodiscard]] bool isObject() const { return kind_ == Kind::Object; }

  /// A string's characters, or a number's spelling ("3", "1e-07", any number of digits).
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool isTrue() const { return kind_ == Kind::Boolean && text_ == "true"; }
  [[nodiscard]] const std::vector<JsonValue>& items() const { return items_; }
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }

  /// An object's member, or nullptr.
  [[nodiscard]] const JsonValue* find(std::string_view key) const;

 private:
  Kind kind_ = Kind::Null;
  std::string text_;
  std::vector<JsonValue> items_;
  std::vector<Member> members_;
};

/// Deeper nesting than this is refused: values are walked recursively.
inline constexpr int kMaxJsonDepth = 256;

/// Reads one JSON text. A lone surrogate escape (clients cut strings anywhere) becomes U+FFFD.
///
/// Fails   InvalidArgument with the byte offset when `text` is not JSON, not UTF-8, or nested
/// deeper
///         than kMaxJsonDepth
Result<JsonValue> parseJson(std::string_view text);

/// The spelling of Python's json.dumps(value, ensure_ascii=False): ", " and ": ", nothing escaped
/// but quotes, backslashes and control characters.
[[nodiscard]] std::string pythonJson(const JsonValue& value);

/// The same for one string, with its quotes.
[[nodiscard]] std::string pythonJsonString(std::string_view text);

/// A double as Python's repr writes it: 1.0, 1e-07, 1e+16.
[[nodiscard]] std::string pythonFloat(double value);

}  // namespace tandem::tokenizer
