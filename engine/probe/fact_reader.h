// SPDX-License-Identifier: GPL-3.0-or-later
// Reads single facts out of a tree: a value, or nothing; and a note when a file is broken.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/probe/sys_root.h"

namespace tandem::probe {

/// What the concerns read through. Absent gives nothing, silently; present and unreadable, or no
/// value of the expected kind, gives nothing and a note with the path, the value and the reason.
/// Refers to both arguments, which must outlive it.
class FactReader {
 public:
  /// A broken tree could give a note a file; more than these help nobody.
  static constexpr std::size_t kMaxNotes = 64;
  /// A value of one line is shorter; the name of a machine or a driver.
  static constexpr std::size_t kMaxLineBytes = 256;

  FactReader(const SysRoot& root, std::vector<std::string>& notes)
      : root_(root),
        notes_(notes) {}

  [[nodiscard]] const SysRoot& root() const { return root_; }

  /// The bytes of a file.
  [[nodiscard]] std::optional<std::string> contents(const std::string& path) const;

  /// The first line without spaces around it; nothing for an empty one.
  [[nodiscard]] std::optional<std::string> line(const std::string& path) const;

  /// A decimal number within [low, high].
  [[nodiscard]] std::optional<std::int64_t> number(const std::string& path,
                                                   std::int64_t low,
                                                   std::int64_t high) const;

  /// The last part of a link's target.
  [[nodiscard]] std::optional<std::string> linkName(const std::string& path) const;

  /// Names in a folder, sorted; those with control characters in them are noted and left out.
  [[nodiscard]] std::vector<std::string> names(const std::string& path) const;

  /// Takes down "/path: words".
  void note(const std::string& path, const std::string& words) const;

 private:
  void noteFailure(const Error& error) const;
  void keep(std::string text) const;

  const SysRoot& root_;
  std::vector<std::string>& notes_;
};

/// Without spaces, tabs and line ends around it.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// Cuts `text` at each `separator`; at least one piece. The pieces lie in `text`.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
std::vector<std::string_view> split(std::string&& text, char separator) = delete;

/// Control characters become "?": a file's text must not steer a terminal.
[[nodiscard]] std::string cleaned(std::string_view text);

/// A value for a sentence: quoted, cut, cleaned.
[[nodiscard]] std::string shownValue(std::string_view text);

/// The whole text as a number of this base, or nothing: no sign for unsigned, no spaces, no rest.
template <typename Number>
[[nodiscard]] std::optional<Number> parseNumber(std::string_view text, int base = 10) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

}  // namespace tandem::probe
