// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/score_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "engine/model/lone_sequence.h"
#include "engine/model/safetensors_writer.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/model_arguments.h"
#include "engine/tools/token_file.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

struct ScoreArguments {
  std::int64_t lastRows = 0;  // 0: all
  std::int64_t chunk = 0;     // 0: the whole prompt at once
  bool mtp = false;
};

/// Logits of one prompt's last rows, and the draft logits beside them.
struct Scores {
  std::vector<float> logits;
  std::vector<float> draftLogits;
};

Result<Scores> scorePrompt(model::DeepseekV4& model,
                           const std::vector<TokenId>& tokens,
                           const ScoreArguments& arguments) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  Result<model::LoneSequence> sequence = model::LoneSequence::create(model, count, arguments.mtp);
  if (!sequence) {
    return sequence.error();
  }
  const std::int64_t chunkTokens = arguments.chunk > 0 ? arguments.chunk : count;
  // Rows wanted are a suffix; a chunk asks for its part of that suffix.
  const std::int64_t wanted = arguments.lastRows > 0 ? std::min(arguments.lastRows, count) : count;
  const std::int64_t draftCount = arguments.mtp ? count - 1 : 0;
  const std::int64_t draftsWanted =
      arguments.lastRows > 0 ? std::min(arguments.lastRows, draftCount) : draftCount;
  const auto vocab = static_cast<std::size_t>(model.vocabSize());
  const std::span<const TokenId> all(tokens);
  Scores scores;
  for (std::int64_t begin = 0; begin < count; begin += chunkTokens) {
    const std::int64_t end = std::min(begin + chunkTokens, count);
    const std::int64_t rows = std::clamp(end - (count - wanted), std::int64_t{0}, end - begin);
    // The MTP module stands one token behind.
    const std::int64_t draftRows = end - 1 - std::max<std::int64_t>(begin - 1, 0);
    const std::int64_t draftLogitRows =
        std::clamp(end - 1 - (draftCount - draftsWanted), std::int64_t{0}, draftRows);
    std::vector<float> logits(static_cast<std::size_t>(rows) * vocab);
    std::vector<float> draftLogits(arguments.mtp ? static_cast<std::size_t>(draftLogitRows) * vocab
                                                 : 0);
    const Result<void> done = sequence->feed(
        all.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
        {.logits = logits, .mtpLogits = draftLogits});
    if (!done) {
      return done.error();
    }
    scores.logits.insert(scores.logits.end(), logits.begin(), logits.end());
    scores.draftLogits.insert(scores.draftLogits.end(), draftLogits.begin(), draftLogits.end());
  }
  return scores;
}

Result<void> score(const ModelArguments& modelArguments,
                   const ScoreArguments& arguments,
                   const std::filesystem::path& tokenFile,
                   const std::filesystem::path& outFile) {
  const Result<std::vector<NamedTokens>> prompts = readTokenFile(tokenFile);
  if (!prompts) {
    return prompts.error();
  }
  std::size_t longest = 1;
  for (const auto& [name, tokens] : *prompts) {
    longest = std::max(longest, tokens.size());
  }
  const std::int64_t stepTokens =
      arguments.chunk > 0 ? arguments.chunk : static_cast<std::int64_t>(longest);
  std::vector<model::FloatTensor> tensors;
  const Result<void> ran =
      runRanks(modelArguments, stepTokens, [&](int rank, model::DeepseekV4& model) -> Result<void> {
        for (const auto& [name, tokens] : *prompts) {
          Result<Scores> scores = scorePrompt(model, tokens, arguments);
          if (!scores) {
            return scores.error().within(name);
          }
          if (rank != 0) {
            continue;
          }
          const std::int64_t vocab = model.vocabSize();
          const auto rowsOf = [vocab](const std::vector<float>& values) {
            return static_cast<std::int64_t>(values.size()) / vocab;
          };
          tensors.push_back(
              {name + ".logits", {rowsOf(scores->logits), vocab}, std::move(scores->logits)});
          if (arguments.mtp) {
            tensors.push_back({name + ".mtp_logits",
                               {rowsOf(scores->draftLogits), vocab},
                               std::move(scores->draftLogits)});
          }
        }
        return {};
      });
  if (!ran) {
    return ran;
  }
  return model::writeSafetensors(outFile, tensors);
}

}  // namespace

int scoreCommand(int argc, char** argv) {
  CLI::App app("Writes the logits of given tokens.", "tandem-engine score");
  ModelArguments modelArguments;
  modelArguments.addTo(app);
  ScoreArguments arguments;
  std::filesystem::path tokenFile;
  std::filesystem::path outFile;
  app.add_option("--tokens", tokenFile, R"(JSON file {"name": [ids]})")->required();
  app.add_option("--out", outFile, "safetensors file: name.logits, name.mtp_logits")->required();
  app.add_option("--last-rows", arguments.lastRows, "only the last N rows; default: all")
      ->check(CLI::PositiveNumber);
  app.add_option("--chunk", arguments.chunk, "tokens a step; default: the whole prompt")
      ->check(CLI::PositiveNumber);
  app.add_flag("--mtp", arguments.mtp, "draft logits of the MTP module too");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  const Result<void> done = score(modelArguments, arguments, tokenFile, outFile);
  if (!done) {
    fmt::print(stderr, "tandem-engine score: {}\n", done.error().text());
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace tandem::tools
