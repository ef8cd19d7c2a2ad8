// SPDX-License-Identifier: GPL-3.0-or-later
// Where characters end in UTF-8, and what to do with bytes that are none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tandem::tokenizer {

/// What stands at the beginning of some bytes.
struct Utf8Step {
  enum class Kind {
    Character,   // one whole character of `length` bytes
    Invalid,     // `length` bytes that no further byte can repair
    Incomplete,  // the bytes end inside what may become a character; `length` is all of them
  };
  Kind kind = Kind::Invalid;
  std::size_t length = 1;
};

/// Steps over one character of `text`, which is not empty. Overlong forms, surrogates and code
/// points above U+10FFFF are invalid (Unicode 15, table 3-7).
[[nodiscard]] Utf8Step stepUtf8(std::string_view text);

/// The offset of the first byte that is not part of a whole character.
[[nodiscard]] std::optional<std::size_t> firstInvalidUtf8(std::string_view text);

/// `text` with everything that is no character replaced by U+FFFD, once for each maximal part.
[[nodiscard]] std::string lossyUtf8(std::string_view text);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace tandem::tokenizer
