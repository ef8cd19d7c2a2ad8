// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/model_arguments.h"

#include <fmt/core.h>

#include <optional>
#include <thread>
#include <vector>

#include "engine/base/thread_annotations.h"
#include "engine/comm/loopback_communicator.h"

namespace tandem::tools {

void ModelArguments::addTo(CLI::App& app) {
  app.add_option("--model", folder, "folder of the checkpoint")->required();
  app.add_option("--ranks", ranks, "tensor-parallel ranks, as threads of this process")
      ->check(CLI::IsMember({1, 2}));
  app.add_option("--numerics", numerics, "exact, cache or act")
      ->check(CLI::IsMember({"exact", "cache", "act"}));
  app.add_option("--backend", backend, "auto, cpu, cuda or reference")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "reference"}));
  app.add_option("--threads", threads, "compute threads of each rank")->check(CLI::Range(1, 256));
}

Result<model::ModelOptions> ModelArguments::options(std::int64_t maxStepTokens) const {
  if (backend == "cuda") {
    return Error{ErrorCode::Unavailable,
                 "the CUDA back end cannot run a model yet",
                 "Use --backend cpu."};
  }
  model::ModelOptions options;
  options.backend = backend == "reference" ? model::Backend::Reference : model::Backend::Cpu;
  options.numerics = numerics == "exact" ? kernels::Numerics::Exact
                     : numerics == "act" ? kernels::Numerics::Act
                                         : kernels::Numerics::Cache;
  options.threads = threads;
  options.maxStepTokens = maxStepTokens;
  return options;
}

Result<void> runRanks(const ModelArguments& arguments,
                      std::int64_t maxStepTokens,
                      const std::function<Result<void>(int rank, model::DeepseekV4& model)>& body) {
  const Result<model::ModelOptions> options = arguments.options(maxStepTokens);
  if (!options) {
    return options.error();
  }
  std::vector<std::unique_ptr<comm::Communicator>> communicators =
      comm::makeLoopbackCommunicators(arguments.ranks);
  Mutex mutex;
  std::optional<Error> failure;
  const auto runRank = [&](int rank) -> Result<void> {
    // A rank that ends takes its end of the communicator along, so the other does not wait for it.
    const std::unique_ptr<comm::Communicator> communicator =
        std::move(communicators[static_cast<std::size_t>(rank)]);
    Result<std::unique_ptr<model::DeepseekV4>> loaded =
        model::DeepseekV4::load(arguments.folder, *options, *communicator, nullptr);
    if (!loaded) {
      return loaded.error();
    }
    return body(rank, **loaded);
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(arguments.ranks));
    for (int rank = 0; rank < arguments.ranks; ++rank) {
      threads.emplace_back([&, rank] {
        const Result<void> done = runRank(rank);
        const MutexLock lock(mutex);
        // The first to fail knows why; the other only that its peer is gone.
        if (!done && !failure) {
          failure = done.error();
        }
      });
    }
  }
  if (failure) {
    return *failure;
  }
  return {};
}

}  // namespace tandem::tools
