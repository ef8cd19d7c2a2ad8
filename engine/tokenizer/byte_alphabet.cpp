// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "engine/tokenizer/utf8.h"

namespace tandem::tokenizer {

namespace {

constexpr unsigned kFirstStandIn = 0x100;
constexpr std::size_t kStandIns = 68;

constexpr bool spellsItself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/// Bytes of the stand-ins U+0100 … U+0143.
constexpr std::array<std::uint8_t, kStandIns> kStandInBytes = [] {
  std::array<std::uint8_t, kStandIns> bytes{};
  std::size_t next = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!spellsItself(byte)) {
      bytes[next++] = static_cast<std::uint8_t>(byte);
    }
  }
  return bytes;
}();

/// The alphabet ends below U+0800, so two bytes of UTF-8 are the most that matters here.
unsigned codePoint(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(character[i]); };
  if (character.size() == 1) {
    return byte(0);
  }
  if (character.size() == 2) {
    return ((byte(0) & 0x1FU) << 6U) | (byte(1) & 0x3FU);
  }
  return ~0U;
}

}  // namespace

std::string bytesFromAlphabet(std::string_view spelled) {
  std::string bytes;
  for (std::size_t at = 0; at < spelled.size();) {
    const std::string_view character = spelled.substr(at, stepUtf8(spelled.substr(at)).length);
    const unsigned point = codePoint(character);
    if (point < kFirstStandIn && spellsItself(point)) {
      bytes += static_cast<char>(point);
    } else if (point >= kFirstStandIn && point < kFirstStandIn + kStandIns) {
      bytes += static_cast<char>(kStandInBytes[point - kFirstStandIn]);
    } else {
      bytes += character;
    }
    at += character.size();
  }
  return bytes;
}

}  // namespace tandem::tokenizer
