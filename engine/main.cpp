// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine: picks the subcommand; everything else is in engine/tools.
#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "engine/tools/bench_command.h"
#include "engine/tools/command.h"
#include "engine/tools/cuda_check_command.h"
#include "engine/tools/encode_chat_command.h"
#include "engine/tools/generate_command.h"
#include "engine/tools/inspect_command.h"
#include "engine/tools/parse_output_command.h"
#include "engine/tools/probe_command.h"
#include "engine/tools/score_command.h"
#include "engine/tools/selftest_command.h"
#include "engine/tools/serve_command.h"
#include "engine/tools/tokenize_command.h"
#include "engine/tools/version_command.h"
#include "engine/tools/worker_command.h"

namespace {

struct Entry {
  std::string_view name;
  std::string_view summary;
  tandem::tools::Command run;
};

constexpr std::array kCommands{
    Entry{"bench", "measure or project one part: bench WHAT", tandem::tools::benchCommand},
    Entry{"cuda-check", "does CUDA load, do two NCCL ranks sum", tandem::tools::cudaCheckCommand},
    Entry{"encode-chat",
          "conversations to prompts and token ids",
          tandem::tools::encodeChatCommand},
    Entry{"generate", "continue given tokens", tandem::tools::generateCommand},
    Entry{"inspect", "what a checkpoint holds, and whether it fits", tandem::tools::inspectCommand},
    Entry{"parse-output", "a model's text to answers and calls", tandem::tools::parseOutputCommand},
    Entry{"probe", "what this machine is: memory, CPU, GPU, network", tandem::tools::probeCommand},
    Entry{"score", "the logits of given tokens", tandem::tools::scoreCommand},
    Entry{"selftest", "every operator's cases on one back end", tandem::tools::selftestCommand},
    Entry{"serve", "rank 0: load, and answer over HTTP", tandem::tools::serveCommand},
    Entry{"tokenize", "texts to token ids", tandem::tools::tokenizeCommand},
    Entry{"version", "print the version", tandem::tools::versionCommand},
    Entry{"worker", "rank 1: load, and follow rank 0", tandem::tools::workerCommand},
};

void printUsage(std::FILE* out) {
  fmt::print(out, "usage: tandem-engine COMMAND [options]   (COMMAND --help explains one)\n\n");
  for (const Entry& entry : kCommands) {
    fmt::print(out, "  {:<14} {}\n", entry.name, entry.summary);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Entry& entry : kCommands) {
    if (entry.name == name) {
      return entry.run(argc - 1, argv + 1);
    }
  }
  if (name == "--help" || name == "help") {
    printUsage(stdout);
    return tandem::tools::kExitOk;
  }
  fmt::print(stderr, "tandem-engine: {} is not a command\n", name.empty() ? "nothing" : name);
  printUsage(stderr);
  return tandem::tools::kExitUsage;
}
