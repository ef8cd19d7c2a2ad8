// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/tokenize_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "engine/tokenizer/json_value.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/json_lines.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

int tokenizeCommand(int argc, char** argv) {
  CLI::App app("Reads JSON lines {\"text\": …}, writes {\"ids\": […]} for each.",
               "tandem-engine tokenize");
  std::filesystem::path model;
  bool plain = false;
  app.add_option("--model", model, "folder with a tokenizer.json")->required();
  app.add_flag("--plain", plain, "encode the literals of added tokens like any other text");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  const Result<tokenizer::Tokenizer> tokenizer = tokenizer::Tokenizer::load(model);
  if (!tokenizer) {
    fmt::print(stderr, "tandem-engine tokenize: {}\n", tokenizer.error().text());
    return kExitFailed;
  }
  const auto added = plain ? tokenizer::AddedTokens::Plain : tokenizer::AddedTokens::Recognise;
  return answerJsonLines([&](const tokenizer::JsonValue& request) -> Result<std::string> {
    const tokenizer::JsonValue* text = request.find("text");
    if (text == nullptr || !text->isString()) {
      return Error{ErrorCode::InvalidArgument, "text: expected a string", ""};
    }
    const Result<std::vector<TokenId>> ids = tokenizer->encode(text->text(), added);
    if (!ids) {
      return ids.error();
    }
    return fmt::format(R"({{"ids": [{}]}})", fmt::join(*ids, ", "));
  });
}

}  // namespace tandem::tools
