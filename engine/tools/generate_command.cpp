// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/generate_command.h"

#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/engine_options.h"
#include "engine/tools/load_model.h"
#include "engine/tools/local_engine.h"
#include "engine/tools/token_file.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

struct GenerateArguments {
  std::filesystem::path tokenFile;
  std::filesystem::path outFile;
  api::SamplingParams sampling;
};

Result<std::vector<TokenId>> await(api::OutputQueue& queue) {
  std::vector<TokenId> tokens;
  while (true) {
    const std::optional<api::RequestOutput> piece = queue.pop(std::chrono::hours(1));
    if (!piece) {
      continue;
    }
    tokens.insert(tokens.end(), piece->tokens.begin(), piece->tokens.end());
    if (piece->error) {
      return *piece->error;
    }
    if (piece->finish) {
      return tokens;
    }
  }
}

Result<void> generate(const api::EngineConfig& config, const GenerateArguments& arguments) {
  const Result<std::vector<NamedTokens>> prompts = readTokenFile(arguments.tokenFile);
  if (!prompts) {
    return prompts.error();
  }
  Logger logger(0);
  const Result<std::unique_ptr<LocalEngine>> engine = LocalEngine::start(config, loadModel, logger);
  if (!engine) {
    return engine.error();
  }
  nlohmann::ordered_json answers = nlohmann::ordered_json::object();
  for (const auto& [name, tokens] : *prompts) {
    api::TokenRequest request;
    request.id = name;
    request.prompt = tokens;
    request.sampling = arguments.sampling;
    request.stopTokens = {(*engine)->folder().eosToken};
    const auto queue = (*engine)->client().submit(std::move(request));
    if (!queue) {
      return queue.error().within(name);
    }
    const Result<std::vector<TokenId>> answer = await(**queue);
    if (!answer) {
      return answer.error().within(name);
    }
    answers[name] = *answer;
  }
  std::ofstream file(arguments.outFile);
  file << answers.dump() << '\n';
  file.close();
  if (!file) {
    return Error{ErrorCode::Unavailable,
                 fmt::format("could not write {}", arguments.outFile.string()),
                 "Check the folder and the space on the disk."};
  }
  return {};
}

}  // namespace

int generateCommand(int argc, char** argv) {
  CLI::App app("Continues given tokens, one prompt after the other.", "tandem-engine generate");
  api::EngineConfig config;
  addModelOptions(app, config);
  GenerateArguments arguments;
  arguments.sampling.temperature = 0;
  std::int64_t maxTokens = 0;
  app.add_option("--tokens", arguments.tokenFile, R"(JSON file {"name": [ids]})")->required();
  app.add_option("--out", arguments.outFile, R"(JSON file {"name": [new ids]})")->required();
  app.add_option("--max-tokens", maxTokens, "new tokens of a prompt, at most")
      ->required()
      ->check(CLI::PositiveNumber);
  app.add_flag("--ignore-eos", arguments.sampling.ignoreEos, "go on after the end-of-text token");
  app.add_option("--temperature", arguments.sampling.temperature, "0: greedy")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  app.add_option("--top-p", arguments.sampling.topP, "of the likeliest tokens, this share")
      ->check(CLI::Range(1e-9, 1.0))
      ->capture_default_str();
  app.add_option("--seed", arguments.sampling.seed, "default: drawn at random");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }
  arguments.sampling.maxTokens = maxTokens;

  // One prompt after the other, each from its first token.
  config.maxSequences = 1;
  config.prefixCache = false;
  const Result<void> done = generate(config, arguments);
  if (!done) {
    fmt::print(stderr, "tandem-engine generate: {}\n", done.error().text());
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace tandem::tools
