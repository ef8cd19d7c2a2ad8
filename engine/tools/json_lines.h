// SPDX-License-Identifier: GPL-3.0-or-later
// Filters from JSON lines to JSON lines, as scripts call them.
#pragma once

#include <functional>
#include <string>

#include "engine/base/result.h"

namespace tandem::tokenizer {
class JsonValue;
}

namespace tandem::tools {

/// Answers every line of stdin with one line on stdout. A line that fails is answered by
/// {"error": {"line", "code", "message"}}, and the others go on. Empty lines are passed over.
///
/// Returns kExitOk, or kExitFailed when a line failed or stdout could not be written
int answerJsonLines(
    const std::function<Result<std::string>(const tokenizer::JsonValue& request)>& answer);

}  // namespace tandem::tools
