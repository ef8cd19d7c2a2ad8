// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/bench_command.h"

#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "engine/tools/bench_kernels.h"
#include "engine/tools/bench_scheduler.h"
#include "engine/tools/bench_serving.h"
#include "engine/tools/command.h"

namespace tandem::tools {

namespace {

struct Entry {
  std::string_view name;
  std::string_view summary;
  Command run;
};

constexpr std::array kBenches{
    Entry{"serving", "batches, drafts and kept prefixes on a model, in pairs", benchServing},
    Entry{"kernels", "each CUDA kernel against what the memory gives", benchKernels},
    Entry{"scheduler", "projection: arrivals on two Sparks in virtual time", benchScheduler},
};

void printUsage(std::FILE* out) {
  fmt::print(out, "usage: tandem-engine bench WHAT --json FILE [options]\n\n");
  for (const Entry& entry : kBenches) {
    fmt::print(out, "  {:<14} {}\n", entry.name, entry.summary);
  }
}

}  // namespace

int benchCommand(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Entry& entry : kBenches) {
    if (entry.name == name) {
      return entry.run(argc - 1, argv + 1);
    }
  }
  if (name == "--help") {
    printUsage(stdout);
    return kExitOk;
  }
  if (name.empty()) {
    fmt::print(stderr, "tandem-engine bench: say what to measure\n");
  } else {
    fmt::print(stderr, "tandem-engine bench: there is no bench {}\n", name);
  }
  printUsage(stderr);
  return kExitUsage;
}

}  // namespace tandem::tools
