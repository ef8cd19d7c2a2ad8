// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/strict_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "engine/tokenizer/chat_markup.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

namespace {

class StrictReader {
 public:
  explicit StrictReader(std::string_view text)
      : text_(text) {}

  Result<ParsedOutput> read(bool thinking) {
    if (thinking) {
      const auto reasoning = takeUntil(kThinkEnd);
      if (!reasoning) {
        return deviation("no </think>");
      }
      output_.reasoning = *reasoning;
    }
    const std::string blockBegin = "\n\n" + std::string(kToolCallsBegin) + "\n";
    const auto content = takeUntil(blockBegin);
    output_.content = content ? *content : rest();
    for (const std::string& text : {output_.reasoning, output_.content}) {
      for (const std::string_view marker : {kThinkBegin, kThinkEnd, kDsmlOpen, kDsmlClose}) {
        if (text.find(marker) != std::string::npos) {
          return deviation(fmt::format("{} in the text", marker));
        }
      }
    }
    output_.finishReason = "stop";
    if (content) {
      output_.finishReason = "tool_calls";
      if (const Result<void> done = readCalls(); !done) {
        return done.error();
      }
    }
    return std::move(output_);
  }

 private:
  [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }

  [[nodiscard]] Error deviation(const std::string& what) const {
    return Error{ErrorCode::InvalidArgument, fmt::format("{} at byte {}", what, at_), ""};
  }

  bool take(std::string_view literal) {
    const bool found = rest().substr(0, literal.size()) == literal;
    at_ += found ? literal.size() : 0;
    return found;
  }

  /// What stands before `literal`; both are consumed.
  std::optional<std::string> takeUntil(std::string_view literal) {
    const std::size_t found = text_.find(literal, at_);
    if (found == std::string_view::npos) {
      return std::nullopt;
    }
    std::string before(text_.substr(at_, found - at_));
    at_ = found + literal.size();
    return before;
  }

  Result<void> readCalls() {
    while (take(kInvokeBegin)) {
      if (const Result<void> done = readCall(); !done) {
        return done;
      }
    }
    if (!take(kToolCallsEnd)) {
      return deviation("neither a call nor the end of the calls");
    }
    return rest().empty() ? Result<void>() : deviation("text after the calls");
  }

  Result<void> readCall() {
    const auto name = takeUntil("\">\n");
    if (!name) {
      return deviation("a call's name does not end");
    }
    std::vector<std::string> seen;
    std::string arguments;
    while (take(kParameterBegin)) {
      const auto key = takeUntil("\" string=\"");
      const bool isText = take("true\">");
      if (!key || (!isText && !take("false\">"))) {
        return deviation("a parameter's tag is wrong");
      }
      const auto value = takeUntil(kParameterEnd);
      if (!value || !take("\n")) {
        return deviation("a parameter does not end");
      }
      if (std::find(seen.begin(), seen.end(), *key) != seen.end()) {
        return deviation(fmt::format("parameter \"{}\" is repeated", *key));
      }
      arguments += fmt::format("{}{}: {}",
                               seen.empty() ? "" : ", ",
                               pythonJsonString(*key),
                               isText ? pythonJsonString(*value) : *value);
      seen.push_back(*key);
    }
    if (seen.empty()) {
      take("\n");  // no parameters are written as an empty line
    }
    if (!take(kInvokeEnd) || !take("\n")) {
      return deviation("a call does not end");
    }
    output_.toolCalls.push_back({*name, "{" + arguments + "}"});
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  ParsedOutput output_;
};

}  // namespace

Result<ParsedOutput> parseStrictly(std::string_view text, bool thinking) {
  if (text.size() >= kEndOfSentence.size() &&
      text.substr(text.size() - kEndOfSentence.size()) == kEndOfSentence) {
    text.remove_suffix(kEndOfSentence.size());
  }
  return StrictReader(text).read(thinking);
}

}  // namespace tandem::tokenizer
