// SPDX-License-Identifier: GPL-3.0-or-later
// A whole answer, put together from the parser's events.
#pragma once

#include <string>
#include <vector>

#include "engine/tokenizer/output_event.h"

namespace tandem::tokenizer {

struct ParsedToolCall {
  std::string name;
  std::string argumentsJson;

  bool operator==(const ParsedToolCall&) const = default;
};

/// A whole answer: the events joined, dropped calls left out.
struct ParsedOutput {
  std::string reasoning;
  std::string content;
  std::vector<ParsedToolCall> toolCalls;
  std::string finishReason;
  std::vector<std::string> malformed;

  bool operator==(const ParsedOutput&) const = default;
};

/// Joins the events of one answer as they come.
class OutputCollector {
 public:
  void add(const std::vector<OutputEvent>& events);

  /// Valid after the Finish event.
  [[nodiscard]] ParsedOutput take();

 private:
  struct OpenCall {
    ParsedToolCall call;
    bool whole = false;
  };
  ParsedOutput output_;
  std::vector<OpenCall> calls_;
};

}  // namespace tandem::tokenizer
