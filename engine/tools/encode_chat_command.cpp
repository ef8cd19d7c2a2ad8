// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/encode_chat_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "engine/tokenizer/chat_encoder.h"
#include "engine/tokenizer/chat_json.h"
#include "engine/tokenizer/json_value.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/json_lines.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

int encodeChatCommand(int argc, char** argv) {
  CLI::App app(
      "Reads JSON lines {\"messages\": […], \"tools\": […]?, \"thinking\": bool?, "
      "\"reasoning_effort\": …?}, writes {\"prompt\": …, \"ids\": […]} for each.",
      "tandem-engine encode-chat");
  std::filesystem::path model;
  std::string dialectName = "v4-flash";
  bool plain = false;
  app.add_option("--model", model, "folder with a tokenizer.json")->required();
  app.add_option("--dialect", dialectName, "release of the checkpoint")
      ->check(CLI::IsMember({"v4-flash", "v4-flash-0731"}));
  app.add_flag("--plain", plain, "obey no added token inside what the messages say");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  const Result<tokenizer::Tokenizer> tokenizer = tokenizer::Tokenizer::load(model);
  if (!tokenizer) {
    fmt::print(stderr, "tandem-engine encode-chat: {}\n", tokenizer.error().text());
    return kExitFailed;
  }
  const tokenizer::ChatEncoder encoder(*tokenizer::chatDialectFromName(dialectName));
  return answerJsonLines([&](const tokenizer::JsonValue& request) -> Result<std::string> {
    Result<tokenizer::Conversation> conversation = tokenizer::conversationFromJson(request);
    if (!conversation) {
      return conversation.error();
    }
    const Result<tokenizer::ChatPrompt> prompt = encoder.encode(std::move(*conversation));
    if (!prompt) {
      return prompt.error();
    }
    const Result<std::vector<TokenId>> ids =
        plain ? tokenizer->encode(prompt->text, prompt->foreign)
              : tokenizer->encode(prompt->text, tokenizer::AddedTokens::Recognise);
    if (!ids) {
      return ids.error();
    }
    return fmt::format(R"({{"prompt": {}, "ids": [{}]}})",
                       tokenizer::pythonJsonString(prompt->text),
                       fmt::join(*ids, ", "));
  });
}

}  // namespace tandem::tools
