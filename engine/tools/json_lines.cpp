// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/json_lines.h"

#include <fmt/core.h>

#include <cstdio>
#include <iostream>

#include "engine/tokenizer/json_value.h"
#include "engine/tools/command.h"

namespace tandem::tools {

namespace {

Result<std::string> answerLine(
    const std::string& line,
    const std::function<Result<std::string>(const tokenizer::JsonValue&)>& answer) {
  const Result<tokenizer::JsonValue> request = tokenizer::parseJson(line);
  if (!request) {
    return request.error();
  }
  if (!request->isObject()) {
    return Error{ErrorCode::InvalidArgument, "expected a JSON object", ""};
  }
  return answer(*request);
}

}  // namespace

int answerJsonLines(
    const std::function<Result<std::string>(const tokenizer::JsonValue& request)>& answer) {
  std::string line;
  bool allAnswered = true;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    const Result<std::string> answered = answerLine(line, answer);
    if (answered) {
      std::cout << *answered << '\n';
      continue;
    }
    allAnswered = false;
    std::cout << fmt::format(R"({{"error": {{"line": {}, "code": "{}", "message": {}}}}})",
                             number,
                             errorCodeName(answered.error().code),
                             tokenizer::pythonJsonString(answered.error().text()))
              << '\n';
  }
  std::cout.flush();
  if (!std::cout) {
    fmt::print(stderr, "tandem-engine: stdout cannot be written\n");
    return kExitFailed;
  }
  return allAnswered ? kExitOk : kExitFailed;
}

}  // namespace tandem::tools
