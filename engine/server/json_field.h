// SPDX-License-Identifier: GPL-3.0-or-later
// Reading a foreign JSON document field by field, with the path of the first thing that is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/server/api_error.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::server {

/// A place in a document: its value, if any, and its path. Readers give a harmless value when the
/// place holds something else and note the problem; only the first problem is kept, so code reads
/// on and looks once at the end. Refers to the document and to `problem`, which must outlive it.
class JsonField {
 public:
  JsonField(const tokenizer::JsonValue& document, std::optional<ApiError>& problem);

  /// The member `key`; an absent one if there is none or this is no object.
  JsonField operator[](const char* key) const;

  /// Neither absent nor null: clients send null for "not set".
  [[nodiscard]] bool present() const;
  [[nodiscard]] bool isString() const;
  [[nodiscard]] bool isArray() const;
  [[nodiscard]] bool isObject() const;
  [[nodiscard]] bool isBool() const;

  /// These note a problem unless the value is of that kind, and inside [low, high].
  [[nodiscard]] const std::string& string() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] double number(double low, double high) const;
  [[nodiscard]] std::int64_t integer(std::int64_t low, std::int64_t high) const;
  [[nodiscard]] std::vector<JsonField> items() const;
  [[nodiscard]] std::vector<std::pair<std::string, JsonField>> members() const;
  [[nodiscard]] const tokenizer::JsonValue& object() const;

  /// As above for optional fields: `otherwise` when absent or null.
  [[nodiscard]] std::string stringOr(const std::string& otherwise) const;
  [[nodiscard]] bool booleanOr(bool otherwise) const;
  [[nodiscard]] double numberOr(double otherwise, double low, double high) const;

  /// Notes a problem of this field, in the words "path: problem".
  void fail(std::string_view problem) const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  JsonField(const tokenizer::JsonValue* value, std::string path, std::optional<ApiError>& problem);
  void expected(std::string_view what) const;

  const tokenizer::JsonValue* value_;  // null when absent
  std::string path_;                   // "" for the document itself
  std::optional<ApiError>* problem_;
};

}  // namespace tandem::server
