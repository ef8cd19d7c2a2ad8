// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/json_guard.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tandem::server {

namespace {

constexpr std::size_t kEscapeLength = 6;  // \uXXXX

/// The code unit of the escape at `at`, if a whole \uXXXX stands there.
std::optional<std::uint32_t> escapedUnit(std::string_view text, std::size_t at) {
  if (text.size() < at + kEscapeLength || text[at] != '\\' || text[at + 1] != 'u') {
    return std::nullopt;
  }
  std::uint32_t unit = 0;
  const char* first = text.data() + at + 2;
  const auto [end, problem] = std::from_chars(first, first + 4, unit, 16);
  if (problem != std::errc() || end != first + 4) {
    return std::nullopt;
  }
  return unit;
}

bool isHighSurrogate(std::uint32_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool isLowSurrogate(std::uint32_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

/// Handles the escape at `at` inside a string; returns the index behind it.
std::size_t repairEscape(std::string& text, std::size_t at) {
  const std::optional<std::uint32_t> unit = escapedUnit(text, at);
  if (!unit) {
    return at + 2;  // \n, \", … or broken, which the parser will say
  }
  if (isHighSurrogate(*unit)) {
    const std::optional<std::uint32_t> next = escapedUnit(text, at + kEscapeLength);
    if (next && isLowSurrogate(*next)) {
      return at + 2 * kEscapeLength;
    }
  }
  if (isHighSurrogate(*unit) || isLowSurrogate(*unit)) {
    text.replace(at + 2, 4, "fffd");
  }
  return at + kEscapeLength;
}

/// Bytes of the sequence that begins with `lead`, 0 if nothing may begin with it.
std::size_t sequenceLength(std::uint8_t lead) {
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead < 0xE0) {
    return 2;
  }
  if (lead >= 0xE0 && lead < 0xF0) {
    return 3;
  }
  if (lead >= 0xF0 && lead < 0xF5) {
    return 4;
  }
  return 0;
}

/// The second byte decides about overlong forms, surrogates and values above U+10FFFF.
bool secondByteFits(std::uint8_t lead, std::uint8_t second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0;
    case 0xED:
      return second < 0xA0;
    case 0xF0:
      return second >= 0x90;
    case 0xF4:
      return second < 0x90;
    default:
      return true;
  }
}

}  // namespace

std::size_t findInvalidUtf8(std::string_view text) {
  const auto byteAt = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t length = sequenceLength(byteAt(i));
    if (length == 0 || i + length > text.size()) {
      return i;
    }
    for (std::size_t k = 1; k < length; ++k) {
      if ((byteAt(i + k) & 0xC0U) != 0x80U) {
        return i;
      }
    }
    if (length > 1 && !secondByteFits(byteAt(i), byteAt(i + 1))) {
      return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

ApiResult<std::string> guardJson(std::string text) {
  if (const std::size_t bad = findInvalidUtf8(text); bad != std::string_view::npos) {
    return invalidRequest(
        fmt::format("the body is not valid UTF-8: byte 0x{:02x} at offset {} of {}",
                    static_cast<std::uint8_t>(text[bad]),
                    bad,
                    text.size()));
  }
  std::size_t depth = 0;
  bool inString = false;
  std::size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (inString && c == '\\') {
      i = repairEscape(text, i);
      continue;
    }
    if (c == '"') {
      inString = !inString;
    } else if (!inString && (c == '{' || c == '[')) {
      if (++depth > kMaxJsonDepth) {
        return invalidRequest(
            fmt::format("the body nests deeper than {} levels at offset {}; no request needs that",
                        kMaxJsonDepth,
                        i));
      }
    } else if (!inString && (c == '}' || c == ']') && depth > 0) {
      --depth;
    }
    ++i;
  }
  return text;
}

}  // namespace tandem::server
