// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/bench_kernels.h"

#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/cuda/cuda_library.h"
#include "engine/tools/command.h"
#include "engine/tools/command_line.h"

#include <CLI/CLI.hpp>

namespace tandem::tools {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiga = 1e9;

int fail(const Error& error) {
  fmt::print(stderr, "tandem-engine bench kernels: {}\n", error.text());
  return kExitFailed;
}

double rateOf(const cuda::KernelTiming& timing) {
  return static_cast<double>(timing.bytes) / (timing.microseconds * 1e-6);
}

void print(const cuda::DeviceFacts& facts, const cuda::KernelTimings& timings) {
  fmt::print("{}, {} multiprocessors; read {:.0f} GB/s, copy {:.0f} GB/s\n",
             facts.name,
             facts.multiprocessors,
             timings.readRate / kGiga,
             timings.copyRate / kGiga);
  fmt::print("{:<20} {:<26} {:>4} {:>8} {:>8} {:>6} {:>6}\n",
             "kernel",
             "shape",
             "rows",
             "MB",
             "us",
             "GB/s",
             "% read");
  for (const cuda::KernelTiming& timing : timings.kernels) {
    fmt::print("{:<20} {:<26} {:>4} {:>8.3f} {:>8.2f} {:>6.0f} {:>6.1f}\n",
               timing.kernel,
               timing.shape,
               timing.rows,
               static_cast<double>(timing.bytes) * 1e-6,
               timing.microseconds,
               rateOf(timing) / kGiga,
               100 * rateOf(timing) / timings.readRate);
  }
}

Json toJson(const cuda::DeviceFacts& facts, const cuda::KernelTimings& timings) {
  Json json{{"device", facts.name},
            {"multiprocessors", facts.multiprocessors},
            {"l2_bytes", facts.l2Bytes},
            {"driver", facts.driverVersion},
            {"runtime", facts.runtimeVersion},
            {"read_bytes_per_second", timings.readRate},
            {"copy_bytes_per_second", timings.copyRate},
            {"kernels", Json::array()}};
  for (const cuda::KernelTiming& timing : timings.kernels) {
    json["kernels"].push_back({{"kernel", timing.kernel},
                               {"shape", timing.shape},
                               {"rows", timing.rows},
                               {"bytes", timing.bytes},
                               {"microseconds", timing.microseconds},
                               {"least_microseconds", timing.least},
                               {"most_microseconds", timing.most},
                               {"share_of_read", rateOf(timing) / timings.readRate}});
  }
  return json;
}

}  // namespace

int benchKernels(int argc, char** argv) {
  CLI::App app(
      "Times each CUDA kernel at V4-Flash's shapes on two ranks, over buffers larger than the "
      "cache, and says what share it reaches of a plain kernel that reads.",
      "tandem-engine bench kernels");
  // The only back end with kernels; named so that a script says what it means.
  std::string backend = "cuda";
  std::filesystem::path folder;
  std::filesystem::path jsonFile;
  cuda::KernelBenchOptions options;
  app.add_option("--backend", backend)->check(CLI::IsMember({"cuda"}))->capture_default_str();
  app.add_option("--libdir", folder, "folder of libtandem_cuda.so; default: beside the program");
  app.add_option("--rows", options.rows, "rows of tokens, e.g. 1,2,8")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--repeats", options.repeats, "of each measurement; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--only", options.only, "kernels whose name contains this");
  app.add_option("--json", jsonFile, "where all figures are written");
  if (const std::optional<int> code = parseCommandLine(app, argc, argv)) {
    return *code;
  }

  Result<cuda::CudaLibrary> library = cuda::CudaLibrary::open(folder);
  if (!library) {
    return fail(library.error());
  }
  const Result<cuda::DeviceFacts> facts = library->exports().deviceFacts();
  if (!facts) {
    return fail(facts.error());
  }
  const Result<cuda::KernelTimings> timings = library->exports().benchKernels(options);
  if (!timings) {
    return fail(timings.error());
  }
  print(*facts, *timings);
  if (!jsonFile.empty()) {
    std::ofstream out(jsonFile);
    out << toJson(*facts, *timings).dump(2) << '\n';
    if (!out.flush()) {
      return fail(Error{ErrorCode::PermissionDenied,
                        fmt::format("cannot write {}", jsonFile.string()),
                        "Name a file in a folder that may be written."});
    }
  }
  return kExitOk;
}

}  // namespace tandem::tools
