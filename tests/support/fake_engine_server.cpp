// SPDX-License-Identifier: GPL-3.0-or-later
// fake-engine-server SCRIPT.json: the real HTTP server in front of a FakeEngine, for client tests.
//
// The script is a list of rules; the first whose "when" occurs in the prompt answers it:
//   [{"when": "weather", "say": "raw output", "prefill_ms": 0, "piece_ms": 0, "piece_tokens": 1,
//     "endless": false, "fail_after": 10, "cached": 0}, …]
// Instead of "say", "say_by_seed" may be a list: seed s gets the text at s modulo its length.
// It prints "listening on URL", and stops when its standard input ends.
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/server/api_routes.h"
#include "engine/server/http_server.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_engine.h"

namespace {

using tandem::testing::FakeReply;

FakeReply replyOf(const nlohmann::json& rule) {
  FakeReply reply;
  reply.text = rule.value("say", std::string());
  reply.textsBySeed = rule.value("say_by_seed", std::vector<std::string>());
  reply.endless = rule.value("endless", false);
  reply.prefill = std::chrono::milliseconds(rule.value("prefill_ms", 0));
  reply.perPiece = std::chrono::milliseconds(rule.value("piece_ms", 0));
  reply.tokensPerPiece = rule.value("piece_tokens", std::size_t{1});
  reply.cachedTokens = rule.value("cached", std::int64_t{0});
  if (rule.contains("fail_after")) {
    reply.failAfterTokens = rule.at("fail_after").get<std::size_t>();
  }
  return reply;
}

FakeReply chooseReply(const nlohmann::json& rules, const std::string& prompt) {
  for (const nlohmann::json& rule : rules) {
    if (prompt.find(rule.at("when").get<std::string>()) != std::string::npos) {
      return replyOf(rule);
    }
  }
  FakeReply nothing;
  nothing.text = "No rule of the script fits.";
  return nothing;
}

int serve(const char* script) {
  std::ifstream file(script);
  const nlohmann::json rules = nlohmann::json::parse(file, nullptr, false);
  if (!rules.is_array()) {
    fmt::print(stderr, "fake-engine-server: {} is no list of rules\n", script);
    return 2;
  }

  tandem::Logger logger(0);
  logger.addSink(std::make_unique<tandem::StderrLogSink>());
  const tandem::tokenizer::Tokenizer tokenizer = tandem::testing::makeByteTokenizer();
  tandem::testing::FakeEngine engine(tokenizer, [&rules](const std::string& prompt) {
    return chooseReply(rules, prompt);
  });
  tandem::api::HttpConfig config;
  config.port = 0;
  auto server = tandem::server::HttpServer::start(
      config,
      tandem::server::ServerOptions{},
      tandem::server::apiRouter(tandem::server::RouteContext{engine, tokenizer, logger}),
      logger);
  if (!server) {
    fmt::print(stderr, "fake-engine-server: {}\n", server.error().text());
    return 1;
  }
  fmt::print("listening on {}\n", (*server)->endpoint());
  std::fflush(stdout);
  std::string ignored;
  while (std::getline(std::cin, ignored)) {
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fake-engine-server SCRIPT.json\n", stderr);
    return 2;
  }
  try {
    return serve(argv[1]);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
}
