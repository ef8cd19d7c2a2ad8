// SPDX-License-Identifier: GPL-3.0-or-later
// A model's text to reasoning, content and tool calls while it streams.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "engine/tokenizer/declared_tool.h"
#include "engine/tokenizer/output_event.h"

namespace tandem::tokenizer {

struct OutputParserOptions {
  bool thinking = false;  // the prompt ended with <think>
  /// Without tools nothing is parsed as a call: markup is then text like any other.
  std::vector<DeclaredTool> tools;
  /// Parse calls although no tool is declared (a command line has no request to look at).
  bool parseUndeclared = false;
};

/// Why no more text follows.
enum class EndOfOutput {
  Stop,    // the model ended its turn, or a stop string did
  Length,  // the token limit
};

/// One answer's parser. Any chunking of a text gives the same result once deltas are joined.
///
/// Tolerant: a call inside the reasoning ends the reasoning; a bare invoke or a mis-spelt wrapper
/// counts if it is closed, names a declared tool and has the required parameters; markup right
/// after a back-tick is a quotation. Broken markup never reaches the content.
///
/// Owned by one thread.
class OutputParser {
 public:
  explicit OutputParser(OutputParserOptions options);
  OutputParser(OutputParser&&) noexcept;
  OutputParser& operator=(OutputParser&&) noexcept;
  OutputParser(const OutputParser&) = delete;
  OutputParser& operator=(const OutputParser&) = delete;
  ~OutputParser();

  /// What `delta` (whole UTF-8 characters, without EOS) makes certain.
  [[nodiscard]] std::vector<OutputEvent> push(std::string_view delta);

  /// What waited, then Finish. Call once, last.
  [[nodiscard]] std::vector<OutputEvent> finish(EndOfOutput end);

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace tandem::tokenizer
