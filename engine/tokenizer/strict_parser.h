// SPDX-License-Identifier: GPL-3.0-or-later
// The official grammar of an answer: what a model that makes no mistakes writes.
#pragma once

#include <string_view>

#include "engine/base/result.h"
#include "engine/tokenizer/parsed_output.h"

namespace tandem::tokenizer {

/// Parses a whole answer by the official grammar, which forgives nothing.
///
/// Fails   InvalidArgument at the first deviation, with its byte offset
Result<ParsedOutput> parseStrictly(std::string_view text, bool thinking);

}  // namespace tandem::tokenizer
