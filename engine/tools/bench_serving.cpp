// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/bench_serving.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/clock.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/engine_options.h"
#include "engine/tools/load_model.h"
#include "engine/tools/local_engine.h"
#include "engine/tools/token_file.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::filesystem::path tokenFile;
  std::filesystem::path jsonFile;
  int pairs = 9;
  std::int64_t answerTokens = 128;
  std::int64_t longTokens = 8192;
  int batch = 6;
};

/// One request, as its client sees it.
struct Served {
  std::vector<TokenId> tokens;
  std::int64_t cachedTokens = 0;
  double firstTokenSeconds = 0;
  double seconds = 0;
};

double secondsSince(MonotonicTime begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Json spreadOf(const std::vector<double>& values) {
  return {{"median", median(values)},
          {"least", *std::min_element(values.begin(), values.end())},
          {"most", *std::max_element(values.begin(), values.end())},
          {"pairs", values.size()}};
}

/// Sends requests to one engine and waits for their answers.
class Client {
 public:
  explicit Client(LocalEngine& engine)
      : engine_(engine) {}

  /// All at once; each to exactly `answerTokens`.
  Result<std::vector<Served>> serve(const std::vector<std::vector<TokenId>>& prompts,
                                    std::int64_t answerTokens) {
    const MonotonicTime begin = std::chrono::steady_clock::now();
    std::vector<std::shared_ptr<api::OutputQueue>> queues;
    for (const std::vector<TokenId>& prompt : prompts) {
      api::TokenRequest request;
      request.id = fmt::format("bench-{}", ++requests_);
      request.prompt = prompt;
      request.sampling.temperature = 0;
      request.sampling.maxTokens = answerTokens;
      request.sampling.ignoreEos = true;
      Result<std::shared_ptr<api::OutputQueue>> queue = engine_.client().submit(std::move(request));
      if (!queue) {
        return queue.error();
      }
      queues.push_back(*std::move(queue));
    }
    std::vector<Served> answers(prompts.size());
    std::vector<bool> over(prompts.size(), false);
    while (std::find(over.begin(), over.end(), false) != over.end()) {
      for (std::size_t i = 0; i < queues.size(); ++i) {
        const std::optional<api::RequestOutput> piece =
            over[i] ? std::nullopt : queues[i]->pop(std::chrono::milliseconds(1));
        if (!piece) {
          continue;
        }
        if (piece->error) {
          return *piece->error;
        }
        Served& served = answers[i];
        if (served.tokens.empty() && !piece->tokens.empty()) {
          served.firstTokenSeconds = secondsSince(begin);
          served.cachedTokens = piece->usage.cachedTokens;
        }
        served.tokens.insert(served.tokens.end(), piece->tokens.begin(), piece->tokens.end());
        served.seconds = secondsSince(begin);
        over[i] = piece->finish.has_value();
      }
    }
    return answers;
  }

 private:
  LocalEngine& engine_;
  int requests_ = 0;
};

/// Tokens a second after the first ones, all requests together.
double decodeRate(const std::vector<Served>& answers) {
  double begin = 0;
  double end = 0;
  double tokens = 0;
  for (const Served& served : answers) {
    begin = std::max(begin, served.firstTokenSeconds);
    end = std::max(end, served.seconds);
    tokens += static_cast<double>(served.tokens.size() - 1);
  }
  // From the last first token on every request decodes; what the others did before is left out of
  // the time and so flatters a batch by less than its prefill.
  return tokens / (end - begin);
}

/// Words without a meaning, another text for each number.
std::vector<TokenId> filler(std::int64_t tokens, std::uint32_t number, std::int64_t vocabSize) {
  std::vector<TokenId> text;
  text.reserve(static_cast<std::size_t>(tokens));
  std::uint32_t state = number * 2654435761U + 1;
  for (std::int64_t i = 0; i < tokens; ++i) {
    state = state * 1664525U + 1013904223U;
    text.push_back(static_cast<TokenId>((state >> 8U) % static_cast<std::uint32_t>(vocabSize)));
  }
  return text;
}

Result<Json> measureBatch(LocalEngine& engine,
                          const std::vector<NamedTokens>& prompts,
                          const Arguments& arguments) {
  Client client(engine);
  std::vector<double> alone;
  std::vector<double> together;
  std::vector<double> ratios;
  std::vector<std::vector<TokenId>> batch;
  batch.reserve(static_cast<std::size_t>(arguments.batch));
  for (int i = 0; i < arguments.batch; ++i) {
    batch.push_back(prompts[static_cast<std::size_t>(i) % prompts.size()].second);
  }
  for (int pair = 0; pair < arguments.pairs; ++pair) {
    const auto one = client.serve({batch.front()}, arguments.answerTokens);
    const auto many = one ? client.serve(batch, arguments.answerTokens) : one;
    if (!many) {
      return many.error();
    }
    alone.push_back(decodeRate(*one));
    together.push_back(decodeRate(*many));
    ratios.push_back(together.back() / alone.back());
  }
  return Json{{"sequences", arguments.batch},
              {"tok_s_alone", spreadOf(alone)},
              {"tok_s_together", spreadOf(together)},
              {"ratio", spreadOf(ratios)}};
}

Result<Json> measureDrafts(LocalEngine& serial,
                           LocalEngine& drafting,
                           const std::vector<NamedTokens>& prompts,
                           const Arguments& arguments) {
  Client without(serial);
  Client with(drafting);
  Json json = Json::object();
  for (const auto& [name, prompt] : prompts) {
    std::vector<double> ratios;
    std::vector<double> rates;
    for (int pair = 0; pair < arguments.pairs; ++pair) {
      const auto plain = without.serve({prompt}, arguments.answerTokens);
      const auto drafted = plain ? with.serve({prompt}, arguments.answerTokens) : plain;
      if (!drafted) {
        return drafted.error();
      }
      if (drafted->front().tokens != plain->front().tokens) {
        return Error{ErrorCode::Internal,
                     fmt::format("{}: drafts changed the answer", name),
                     "Report it with the token file."};
      }
      rates.push_back(decodeRate(*plain));
      ratios.push_back(decodeRate(*drafted) / rates.back());
    }
    json[name] = {{"tok_s_serial", spreadOf(rates)}, {"ratio", spreadOf(ratios)}};
  }
  const std::shared_ptr<const api::EngineStats> stats = drafting.client().stats();
  json["accepted_of_drafted"] = {stats->drafts.acceptedTokens(), stats->drafts.proposedTokens()};
  return json;
}

Result<Json> measurePrefix(LocalEngine& engine, const Arguments& arguments) {
  constexpr std::int64_t kNewTokens = 24;  // of the second turn
  constexpr std::int64_t kAnswer = 16;
  Client client(engine);
  const std::int64_t vocabSize = engine.client().info().vocabSize;
  std::vector<double> cold;
  std::vector<double> warm;
  std::vector<double> ratios;
  for (int pair = 0; pair < arguments.pairs; ++pair) {
    const auto number = static_cast<std::uint32_t>(pair);
    std::vector<TokenId> conversation = filler(arguments.longTokens, number, vocabSize);
    const auto first = client.serve({conversation}, kAnswer);
    if (!first) {
      return first.error();
    }
    conversation.insert(conversation.end(),
                        first->front().tokens.begin(),
                        first->front().tokens.end());
    const std::vector<TokenId> more = filler(kNewTokens, number + 1000, vocabSize);
    conversation.insert(conversation.end(), more.begin(), more.end());
    const auto second = client.serve({conversation}, kAnswer);
    if (!second) {
      return second.error();
    }
    cold.push_back(first->front().firstTokenSeconds);
    warm.push_back(second->front().firstTokenSeconds);
    ratios.push_back(warm.back() / cold.back());
  }
  return Json{{"tokens", arguments.longTokens},
              {"first_token_s_cold", spreadOf(cold)},
              {"first_token_s_second_turn", spreadOf(warm)},
              {"ratio", spreadOf(ratios)}};
}

Result<Json> measure(const api::EngineConfig& config, const Arguments& arguments) {
  const Result<std::vector<NamedTokens>> prompts = readTokenFile(arguments.tokenFile);
  if (!prompts) {
    return prompts.error();
  }
  Logger logger(0);
  api::EngineConfig serial = config;
  serial.speculative = false;
  Result<std::unique_ptr<LocalEngine>> plain = LocalEngine::start(serial, loadModel, logger);
  if (!plain) {
    return plain.error();
  }
  Result<std::unique_ptr<LocalEngine>> drafting = LocalEngine::start(config, loadModel, logger);
  if (!drafting) {
    return drafting.error();
  }
  Json json{{"model", (*plain)->folder().name}, {"ranks", config.ranks}};
  const auto keep = [&json](const char* name, Result<Json> figures) -> Result<void> {
    if (!figures) {
      return figures.error().within(name);
    }
    json[name] = *std::move(figures);
    fmt::print("{}: {}\n", name, json[name].dump(2));
    return {};
  };
  if (Result<void> done = keep("batch", measureBatch(**plain, *prompts, arguments)); !done) {
    return done.error();
  }
  if (Result<void> done = keep("drafts", measureDrafts(**plain, **drafting, *prompts, arguments));
      !done) {
    return done.error();
  }
  if (Result<void> done = keep("prefix", measurePrefix(**plain, arguments)); !done) {
    return done.error();
  }
  return json;
}

}  // namespace

int benchServing(int argc, char** argv) {
  CLI::App app("Measures batches, drafts and kept prefixes in interleaved pairs.",
               "tandem-engine bench serving");
  api::EngineConfig config;
  addModelOptions(app, config);
  addCacheOptions(app, config);
  Arguments arguments;
  app.add_option("--tokens", arguments.tokenFile, R"(prompts, JSON file {"name": [ids]})")
      ->required();
  app.add_option("--json", arguments.jsonFile, "where all figures are written");
  app.add_option("--pairs", arguments.pairs, "of each comparison")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--answer", arguments.answerTokens, "tokens of an answer")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  app.add_option("--long", arguments.longTokens, "tokens of the conversation that is continued")
      ->check(CLI::Range(256, 1 << 20))
      ->capture_default_str();
  app.add_option("--batch", arguments.batch, "requests at the same time")
      ->check(CLI::Range(2, 256))
      ->capture_default_str();
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }
  const Result<Json> figures = measure(config, arguments);
  if (!figures) {
    fmt::print(stderr, "tandem-engine bench serving: {}\n", figures.error().text());
    return kExitFailed;
  }
  if (!arguments.jsonFile.empty()) {
    std::ofstream file(arguments.jsonFile);
    file << figures->dump(2) << '\n';
    if (!file.flush()) {
      fmt::print(stderr,
                 "tandem-engine bench serving: cannot write {}\n",
                 arguments.jsonFile.string());
      return kExitFailed;
    }
  }
  return kExitOk;
}

}  // namespace tandem::tools
