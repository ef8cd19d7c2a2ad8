// SPDX-License-Identifier: GPL-3.0-or-later
// JSON of one line from and to the other end: what every codec of this folder is written with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "engine/base/result.h"

namespace tandem::protocol {

/// Written in the order of its fields; read into sorted ones, whose look-up does not grow with what
/// a foreign line holds.
using OutJson = nlohmann::ordered_json;
using InJson = nlohmann::json;

/// Longest text of one field in bytes before it is escaped; with escapes (six bytes for one) the
/// texts of a message stay below kMaxLineBytes.
inline constexpr std::size_t kMaxTextBytes = std::size_t{64}
                                             << 10U;  // sentences: log, detail, error
inline constexpr std::size_t kMaxNameBytes = std::size_t{4}
                                             << 10U;  // names: model, endpoint, module

/// The text, or its beginning and how much is missing. Cut between characters.
[[nodiscard]] std::string cutText(const std::string& text, std::size_t limit = kMaxTextBytes);

/// `number`, or 0 for what JSON cannot say: infinity and not a number.
[[nodiscard]] double finiteOrZero(double number);

/// One line without its newline; bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string toLine(const OutJson& json);

/// Parses an object, at most kMaxLineBytes long and 16 levels deep.
/// Fails    DataCorrupt with what is wrong and where
Result<InJson> parseLine(std::string_view line);

/// Reads the fields of one object. A reader gives a harmless value when a field is missing or
/// something else and notes the problem, "field: what is wrong"; only the first is kept, so code
/// reads on and looks once at the end. Refers to the object, which must outlive it.
class FieldReader {
 public:
  /// `path` is the name of the object for errors, "" for the line itself.
  FieldReader(const InJson& object, std::string path, std::optional<std::string>& problem);

  /// Neither absent nor null.
  [[nodiscard]] bool has(const char* key) const;

  [[nodiscard]] std::string text(const char* key) const;
  [[nodiscard]] std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const;
  [[nodiscard]] int smallInteger(const char* key, int low, int high) const;
  [[nodiscard]] std::uint64_t count(const char* key) const;
  [[nodiscard]] double number(const char* key, double low, double high) const;
  [[nodiscard]] std::int64_t wallTime(const char* key) const;

  /// The object in a field; an empty one, noted, if there is none.
  [[nodiscard]] FieldReader object(const char* key) const;
  /// The objects, or the texts, of a list.
  [[nodiscard]] std::vector<FieldReader> objects(const char* key) const;
  [[nodiscard]] std::vector<std::string> texts(const char* key) const;
  /// The numbers of a list, at most `most` of them.
  [[nodiscard]] std::vector<std::uint64_t> counts(const char* key, std::size_t most) const;
  [[nodiscard]] std::vector<double> numbers(const char* key, std::size_t most) const;

  /// A name that `fromName` knows; its value, or `otherwise` and a problem with the name in it.
  template <typename Value>
  [[nodiscard]] Value named(const char* key,
                            std::optional<Value> (*fromName)(std::string_view),
                            Value otherwise) const {
    const std::string name = text(key);
    const std::optional<Value> value = fromName(name);
    if (!value) {
      unknownName(key, name);
    }
    return value.value_or(otherwise);
  }

  /// Notes that `name` in a field is none of the known ones.
  void unknownName(const char* key, const std::string& name) const;

  /// Notes what is wrong with a field, when the caller knows better.
  void fail(const char* key, const std::string& text) const;

 private:
  [[nodiscard]] const InJson* find(const char* key) const;
  /// The list in a field; null, noted, if there is none or it is longer than `most`.
  [[nodiscard]] const InJson* list(const char* key, std::size_t most) const;
  void expected(const char* key, const char* what) const;

  const InJson* object_;
  std::string path_;
  std::optional<std::string>* problem_;
};

/// A value of a message as an error shows it: itself when short, else its kind.
[[nodiscard]] std::string shown(const InJson& value);

}  // namespace tandem::protocol
