// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/worker_command.h"

#include <optional>
#include <string>

#include "engine/tools/command.h"
#include "engine/tools/command_line.h"
#include "engine/tools/engine_options.h"
#include "engine/tools/load_model.h"
#include "engine/tools/worker_process.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

int workerCommand(int argc, char** argv) {
  CLI::App app("Runs rank 1: holds its share of the weights and follows rank 0.",
               "tandem-engine worker");
  api::EngineConfig config;
  config.rank = 1;
  bool quiet = false;
  app.add_option("--model", config.modelFolder, "folder of the checkpoint")->required();
  app.add_option_function<std::string>(
         "--peer",
         [&](const std::string& text) {
           if (const std::string wrong = parsePeerAddress(text, config.peer); !wrong.empty()) {
             throw CLI::ValidationError("--peer", wrong);
           }
         },
         "HOST:PORT where rank 0 listens")
      ->required();
  app.add_option("--peer-secret", config.peer.secretFile, "0600 file of 32 bytes, as on rank 0")
      ->required();
  addCacheFolderOptions(app, config);
  addLogOption(app, config);
  app.add_flag("--quiet", quiet, "leave log lines to rank 0; errors still go to stderr");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }
  return runWorker(config, quiet ? WorkerLog::RelayedOnly : WorkerLog::Stderr, loadModel);
}

}  // namespace tandem::tools
