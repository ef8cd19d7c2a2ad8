// SPDX-License-Identifier: GPL-3.0-or-later
// What is checked and repaired in a JSON text before a parser sees it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/server/api_error.h"

namespace tandem::server {

/// Deeper nesting than any request needs; recursive code further down stays far from its stack.
inline constexpr std::size_t kMaxJsonDepth = 128;

/// Refuses (400) text that is not UTF-8, naming the byte, and nesting beyond `kMaxJsonDepth`.
/// Lone surrogate escapes (\ud83d without its partner), which JavaScript clients send when they cut
/// a string inside an emoji, become \ufffd. Says nothing about the grammar: the parser does.
ApiResult<std::string> guardJson(std::string text);

/// The index of the first byte that breaks UTF-8 (overlong, surrogate, truncated), or npos.
[[nodiscard]] std::size_t findInvalidUtf8(std::string_view text);

}  // namespace tandem::server
