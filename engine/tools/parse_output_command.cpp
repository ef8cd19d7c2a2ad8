// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/parse_output_command.h"

#include <fmt/format.h>

#include <charconv>
#include <string>

#include "engine/tokenizer/json_value.h"
#include "engine/tokenizer/output_parser.h"
#include "engine/tokenizer/parsed_output.h"
#include "engine/tokenizer/strict_parser.h"
#include "engine/tokenizer/utf8.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/json_lines.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

struct ParseRequest {
  std::string text;
  std::size_t chunk = 0;  // characters a push; 0: all at once
  tokenizer::EndOfOutput end = tokenizer::EndOfOutput::Stop;
  tokenizer::OutputParserOptions options;
};

Result<ParseRequest> readRequest(const tokenizer::JsonValue& json) {
  ParseRequest request;
  const tokenizer::JsonValue* text = json.find("text");
  if (text == nullptr || !text->isString()) {
    return Error{ErrorCode::InvalidArgument, "text: expected a string", ""};
  }
  request.text = text->text();
  if (const tokenizer::JsonValue* thinking = json.find("thinking")) {
    request.options.thinking = thinking->isTrue();
  }
  if (const tokenizer::JsonValue* chunk = json.find("chunk")) {
    const std::string& digits = chunk->text();
    const auto [end, status] =
        std::from_chars(digits.data(), digits.data() + digits.size(), request.chunk);
    if (status != std::errc() || end != digits.data() + digits.size() || request.chunk == 0) {
      return Error{ErrorCode::InvalidArgument, "chunk: expected a number of characters", ""};
    }
  }
  if (const tokenizer::JsonValue* end = json.find("end");
      end != nullptr && end->text() == "length") {
    request.end = tokenizer::EndOfOutput::Length;
  }
  if (const tokenizer::JsonValue* tools = json.find("tools")) {
    Result<std::vector<tokenizer::DeclaredTool>> declared =
        tokenizer::declaredTools(tokenizer::pythonJson(*tools));
    if (!declared) {
      return declared.error();
    }
    request.options.tools = std::move(*declared);
  } else {
    request.options.parseUndeclared = true;
  }
  return request;
}

tokenizer::ParsedOutput parse(ParseRequest request) {
  tokenizer::OutputParser parser(std::move(request.options));
  tokenizer::OutputCollector collector;
  std::string_view rest = request.text;
  while (!rest.empty()) {
    std::size_t length = request.chunk == 0 ? rest.size() : 0;
    for (std::size_t i = 0; i < request.chunk && length < rest.size(); ++i) {
      length += tokenizer::stepUtf8(rest.substr(length)).length;
    }
    collector.add(parser.push(rest.substr(0, length)));
    rest.remove_prefix(length);
  }
  collector.add(parser.finish(request.end));
  return collector.take();
}

std::string toJson(const tokenizer::ParsedOutput& output) {
  std::string calls;
  for (const tokenizer::ParsedToolCall& call : output.toolCalls) {
    calls += fmt::format(R"({}{{"type": "function", "function": {{"name": {}, "arguments": {}}}}})",
                         calls.empty() ? "" : ", ",
                         tokenizer::pythonJsonString(call.name),
                         tokenizer::pythonJsonString(call.argumentsJson));
  }
  return fmt::format(
      R"({{"reasoning_content": {}, "content": {}, "tool_calls": [{}], "finish_reason": "{}"}})",
      tokenizer::pythonJsonString(output.reasoning),
      tokenizer::pythonJsonString(output.content),
      calls,
      output.finishReason);
}

}  // namespace

int parseOutputCommand(int argc, char** argv) {
  CLI::App app(
      "Reads JSON lines {\"text\": …, \"thinking\": bool?, \"chunk\": N?, \"tools\": […]?, "
      "\"end\": \"stop\" or \"length\"?}, writes {\"reasoning_content\", \"content\", "
      "\"tool_calls\", \"finish_reason\"} for each. Without tools, calls of any name are read.",
      "tandem-engine parse-output");
  bool strict = false;
  app.add_flag("--strict", strict, "follow the official grammar and refuse what deviates");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  return answerJsonLines([&](const tokenizer::JsonValue& json) -> Result<std::string> {
    Result<ParseRequest> request = readRequest(json);
    if (!request) {
      return request.error();
    }
    if (!strict) {
      return toJson(parse(std::move(*request)));
    }
    const Result<tokenizer::ParsedOutput> output =
        tokenizer::parseStrictly(request->text, request->options.thinking);
    if (!output) {
      return output.error();
    }
    return toJson(*output);
  });
}

}  // namespace tandem::tools
