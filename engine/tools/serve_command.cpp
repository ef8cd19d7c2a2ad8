// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/serve_command.h"

#include <optional>
#include <string>

#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/engine_options.h"
#include "engine/tools/head_process.h"
#include "engine/tools/load_model.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

int serveCommand(int argc, char** argv) {
  CLI::App app("Runs rank 0: loads the model, with rank 1 if there are two, and serves /v1.",
               "tandem-engine serve");
  api::EngineConfig config;
  addModelOptions(app, config);
  app.add_option("--host", config.http.host, "address of the HTTP API")->capture_default_str();
  app.add_option("--port", config.http.port, "port of the HTTP API; 0: any free one")
      ->capture_default_str();
  app.add_option("--api-key-file", config.http.apiKeyFile, "file with the key clients must send");
  app.add_option("--control", config.controlSocket, "Unix socket for panel and tandemctl");
  addCacheOptions(app, config);
  addCacheFolderOptions(app, config);
  addLogOption(app, config);
  addMemoryGuardOptions(app, config);
  app.add_option("--max-queued", config.maxQueuedRequests, "requests that may wait")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--default-thinking",
         [&](const std::string& value) { config.defaultThinking = value == "on"; },
         "on or off (default): for requests that say nothing about thinking")
      ->check(CLI::IsMember({"on", "off"}));
  CLI::Option* secret = app.add_option("--peer-secret",
                                       config.peer.secretFile,
                                       "0600 file of 32 bytes, as on rank 1");
  app.add_option_function<std::string>(
         "--peer",
         [&](const std::string& text) {
           if (const std::string wrong = parsePeerAddress(text, config.peer); !wrong.empty()) {
             throw CLI::ValidationError("--peer", wrong);
           }
         },
         "this node's HOST:PORT on the cable, to listen on for rank 1; without it and with "
         "--ranks 2 rank 1 is started on this host")
      ->needs(secret);
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }
  return runHead(config, loadModel);
}

}  // namespace tandem::tools
