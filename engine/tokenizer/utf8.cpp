// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/utf8.h"

#include <cstdint>

namespace tandem::tokenizer {

namespace {

/// The bytes that may follow a lead byte. Only the second byte's range depends on the lead.
struct Form {
  std::size_t length = 0;  // 0: not a lead byte
  std::uint8_t secondLow = 0x80;
  std::uint8_t secondHigh = 0xBF;
};

Form formOf(std::uint8_t lead) {
  if (lead < 0x80U) {
    return {1};
  }
  if (lead >= 0xC2U && lead <= 0xDFU) {
    return {2};
  }
  if (lead >= 0xE0U && lead <= 0xEFU) {
    const std::uint8_t low = lead == 0xE0U ? 0xA0 : 0x80;   // no overlong form
    const std::uint8_t high = lead == 0xEDU ? 0x9F : 0xBF;  // no surrogate
    return {3, low, high};
  }
  if (lead >= 0xF0U && lead <= 0xF4U) {
    const std::uint8_t low = lead == 0xF0U ? 0x90 : 0x80;   // no overlong form
    const std::uint8_t high = lead == 0xF4U ? 0x8F : 0xBF;  // nothing above U+10FFFF
    return {4, low, high};
  }
  return {0};
}

}  // namespace

Utf8Step stepUtf8(std::string_view text) {
  const Form form = formOf(static_cast<std::uint8_t>(text[0]));
  if (form.length == 0) {
    return {Utf8Step::Kind::Invalid, 1};
  }
  for (std::size_t i = 1; i < form.length; ++i) {
    if (i == text.size()) {
      return {Utf8Step::Kind::Incomplete, i};
    }
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const std::uint8_t low = i == 1 ? form.secondLow : 0x80;
    const std::uint8_t high = i == 1 ? form.secondHigh : 0xBF;
    if (byte < low || byte > high) {
      return {Utf8Step::Kind::Invalid, i};
    }
  }
  return {Utf8Step::Kind::Character, form.length};
}

std::optional<std::size_t> firstInvalidUtf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = stepUtf8(text.substr(at));
    if (step.kind != Utf8Step::Kind::Character) {
      return at;
    }
    at += step.length;
  }
  return std::nullopt;
}

std::string lossyUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = stepUtf8(text.substr(at));
    out += step.kind == Utf8Step::Kind::Character ? text.substr(at, step.length)
                                                  : kReplacementCharacter;
    at += step.length;
  }
  return out;
}

}  // namespace tandem::tokenizer
