// SPDX-License-Identifier: GPL-3.0-or-later
// A model's text to reasoning, content and tool calls while it streams.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace tandem::tokenizer {

/// What the parser knows of a tool that the request declared: decides what may be recovered.
struct DeclaredTool {
  struct Property {
    std::string name;
    bool isString = false;  // its schema has "type": "string"
  };
  std::string name;
  std::vector<Property> properties;
  std::vector<std::string> required;
};

/// Reads the declared tools from a request's `tools` array. Kinds other than function are left out.
///
/// Fails   InvalidArgument when `toolsJson` is not an array of objects
Result<std::vector<DeclaredTool>> declaredTools(std::string_view toolsJson);

struct OutputParserOptions {
  bool thinking = false;  // the prompt ended with <think>
  /// Without tools nothing is parsed as a call: markup is then text like any other.
  std::vector<DeclaredTool> tools;
};

/// Why no more text follows.
enum class EndOfOutput {
  Stop,    // the model ended its turn, or a stop string did
  Length,  // the token limit
};

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
  ~OutputParser();

  /// What `delta` (whole UTF-8 characters, without EOS) makes certain.
  [[nodiscard]] std::vector<OutputEvent> push(std::string_view delta);

  /// What waited, then Finish. Call once, last.
  [[nodiscard]] std::vector<OutputEvent> finish(EndOfOutput end);

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

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

/// Parses a whole answer by the official grammar, which forgives nothing.
///
/// Fails   InvalidArgument at the first deviation, with its byte offset
Result<ParsedOutput> parseStrictly(std::string_view text, bool thinking);

}  // namespace tandem::tokenizer
