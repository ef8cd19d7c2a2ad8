// SPDX-License-Identifier: GPL-3.0-or-later
// What the output parser says while an answer streams.
#pragma once

#include <string>

namespace tandem::tokenizer {

struct OutputEvent {
  enum class Kind {
    Reasoning,        // text
    Content,          // text
    ToolCallBegin,    // index, name. The caller issues the id
    ToolCallDelta,    // index, text: more of the arguments' JSON; every piece is final
    ToolCallEnd,      // index: the pieces form one JSON object
    ToolCallDropped,  // index: begun, but the text ended or broke before the call was whole
    Malformed,        // text: markup that made no sense. For the log, never for a client
    Finish,           // text: finish_reason, "stop", "length" or "tool_calls"; always the last
  };

  Kind kind = Kind::Content;
  int index = 0;     // counts from 0
  std::string name;  // ToolCallBegin
  std::string text;

  bool operator==(const OutputEvent&) const = default;
};

}  // namespace tandem::tokenizer
